#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An event over which the decoder crashes: marked by that alone, processed alone in a throw-away process, and at
# its second crash a dead letter, it only. The program is one whose decoder crashes on request.
. "$(dirname "$0")/../lib.sh"
standpipe=$build/tests/integration/standpipe-crashing
victim=500

# begin [NAME=VALUE...]: a new database and an empty Redis, and standpipe with these in its environment.
begin() {
	pg_start
	redis flushall >/dev/null
	: >"$T/standpipe.log"
	standpipe_conf
	standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
	export TEST_CRASH_SEQ=$victim "$@"
	standpipe_run
	unset TEST_CRASH_SEQ TEST_CRASH_SIGNAL TEST_CRASH_TICKETS
}

# tickets N: the next N decodings of the victim crash.
tickets() {
	mkdir -p "$T/tickets"
	rm -f "$T"/tickets/*
	for ((i = 0; i < $1; i++)); do echo >"$T/tickets/$i"; done
}

workers_started() {
	grep -c 'child.started.*child=worker-' "$T/standpipe.log"
}

everything_else() {
	"$compare" "$T/generated" >"$T/compare.out" 2>&1
	grep -qE '\b[1-9] differences?' "$T/compare.out"
}

redis_start
"$relay" generate --out "$T/generated" --frames 2000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames"
set_workers='count = 2;'

for signal in 11 6; do # the others: test-children
	begin TEST_CRASH_SIGNAL=$signal
	ok "signal $signal each time: everything is committed and acknowledged" wait_committed "$last" 60
	is "one dead letter: the whole event, its bytes, two attempts, the signal" "$(sql "
		select seq, op, class, attempts, length(bytes) > 100, reason like '%SIG' || s.signal_name
		from standpipe.dead_letters, (select substr(signal, 4) signal_name from standpipe.suspects) s")" \
		"$victim|-1|crash|2|t|t"
	is "one worker crashed, once" "$(workers_started)" 3
	is "the row stays, with its crashes" "$(sql 'select seq, crashes from standpipe.suspects')" "$victim|2"
	[ "$signal" = 11 ] || { standpipe_stop; continue; }
	ok "nothing but that event is missing" everything_else
	standpipe_stop
	redis xgroup setid "$stream" "$group" 0 >/dev/null
	redis hset "$stream:meta" w_seq 0 w_epoch 0 >/dev/null
	sql "update standpipe.watermark set epoch = 0, seq = 0; delete from standpipe.dead_letters" || bail "no reset"
	: >"$T/standpipe.log"
	TEST_CRASH_SEQ=$victim TEST_CRASH_SIGNAL=$signal standpipe_run
	ok "delivered again: no worker crashes over it a second time" wait_committed "$last" 60
	is "all workers are the first ones" "$(workers_started)" 2
	is "it is a dead letter again" "$(sql 'select seq, class, attempts from standpipe.dead_letters')" "$victim|crash|3"
	standpipe_stop
	: >"$T/standpipe.log"
	standpipe dead-letter retry --class crash >"$T/retry.log" 2>&1
	ok "a program that no longer crashes stores it from its dead letter" grep -q '^1 stored, 0 still' "$T/retry.log"
	ok "then nothing is missing" "$compare" "$T/generated"
done

tickets 1
begin TEST_CRASH_SIGNAL=11 "TEST_CRASH_TICKETS=$T/tickets"
ok "one crash only: everything is committed" wait_committed "$last" 60
is "it was stored alone: no dead letter" "$(sql 'select count(*) from standpipe.dead_letters')" 0
is "and is no suspect any more" "$(sql 'select count(*) from standpipe.suspects')" 0
ok "nothing is missing" "$compare" "$T/generated"
standpipe_stop

for signal in 9 24; do
	tickets 4
	begin TEST_CRASH_SIGNAL=$signal "TEST_CRASH_TICKETS=$T/tickets"
	ok "killed four times by signal $signal at that event: everything is committed" wait_committed "$last" 60
	is "no suspect, no dead letter" "$(sql 'select count(*) from standpipe.suspects
		union all select count(*) from standpipe.dead_letters')" $'0\n0'
	standpipe_stop
done

tickets 1
begin TEST_CRASH_SIGNAL=0 "TEST_CRASH_TICKETS=$T/tickets"
ok "a decoder that never ends is aborted by the watchdog" wait_until 'grep -q "child.stuck" "$T/standpipe.log"' 60
ok "its event is a suspect" wait_until 'grep -q "child.suspect.*event=1-$victim" "$T/standpipe.log"' 20
ok "everything is committed" wait_committed "$last" 60
is "it was stored alone" "$(sql 'select count(*) from standpipe.dead_letters')" 0
plan
