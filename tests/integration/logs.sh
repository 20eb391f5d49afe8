#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Log lines: whatever becomes of stderr, the pipeline goes on; rotation, the journal's priorities, and errors that
# repeat.
. "$(dirname "$0")/../lib.sh"
standpipe=$build/tests/fault/standpipe-faults # the program, but its descriptors may be looked at

log=$T/standpipe.log

# counter NAME: of all processes.
counter() {
	standpipe status --json | grep -o "\"$1\":[0-9]*" | tail -n 1 | cut -d: -f2
}

# flows: another 200 events are committed.
flows() {
	local before

	before=$(sql 'select seq from standpipe.watermark')
	wait_until '[ "$(sql "select seq from standpipe.watermark")" -ge $((${before:-0} + 200)) ]' 60
}

# run_with ARGUMENTS: standpipe with whatever becomes of stderr, as the arguments (a shell's) say.
run_with() {
	bash -c "exec '$standpipe' run -c '$T/standpipe.conf' $1" &
	standpipe_pid=$!
}

# drops WHAT: with a stderr like this the pipeline flows, and lines are dropped and counted.
drops() {
	ok "$1: events flow" flows
	ok "$1: dropped lines are counted" wait_until '[ "$(counter log_dropped)" -gt 0 ]' 20
	standpipe_stop
	is "$1: TERM exits 0" "$standpipe_status" 0
}

level() {
	standpipe_conf
	echo "log: { level = \"$1\"; };" >>"$T/standpipe.conf"
}

redis_start
"$relay" generate --out "$T/generated" --frames 60000 >"$T/generate.log" 2>&1 || bail "generate failed"
relay_start serve "$T/generated.frames" --rate 400
pg_start
level debug
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"

# ---- a stderr that takes nothing ----

mkfifo "$T/pipe"
exec 7<>"$T/pipe"
dd if=/dev/zero of="$T/pipe" bs=4096 count=16 oflag=nonblock 2>/dev/null
run_with '2>&7'
drops "a full pipe"
exec 7>&-

run_with '2>&-'
ok "closed from the start: events flow" flows
none "no descriptor of a process is a socket where stderr should be" "$(for pid in "$standpipe_pid" $(pids_of worker) $(pids_of reader); do
	readlink "/proc/$pid/fd/2" | grep -v '^/dev/null$'
done)"
standpipe_stop
is "closed from the start: TERM exits 0" "$standpipe_status" 0

run_with '2>/dev/full'
drops "a full disk"

mkfifo "$T/short"
head -c 1000 <"$T/short" >/dev/null &
servers+=("$!")
run_with "2>'$T/short'"
drops "a pipe whose reader has gone"

perl -MSocket -MPOSIX -e '
	socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0 or die;
	POSIX::dup2(fileno $theirs, 2);
	setsockopt $_, SOL_SOCKET, SO_SNDBUF, 2048 for $ours, $theirs;
	fcntl $ours, 2, 0;
	exec @ARGV' "$standpipe" run -c "$T/standpipe.conf" &
standpipe_pid=$!
drops "a full socket"

# ---- rotation ----

level info
: >"$log"
standpipe_run
wait_until 'grep -q supervisor.healthy "$log"' 30
mv "$log" "$log.1"
kill -USR1 "$standpipe_pid"
ok "SIGUSR1 opens the file again under its name" wait_until 'grep -q "log.reopened.*file=$log$" "$log"' 10
ok "for every child too" wait_until '[ "$(for pid in $(pids_of reader) $(pids_of worker) $(pids_of keeper); do
	readlink "/proc/$pid/fd/2"; done | sort -u)" = "$log" ]' 20
old=$(wc -c <"$log.1")
flows
is "nothing goes to the old one any more" "$(wc -c <"$log.1")" "$old"
kill -SEGV "$(pids_of worker | head -n 1)"
ok "a child that starts later writes there as well" wait_until 'grep -q "child.ready role=supervisor child=worker" "$log"' 20
none "without the journal every line has a time" "$(grep -vE '^20[0-9-]{8}T[0-9:.]{12}Z (error|warning|notice|info|debug) [a-z_.]+ role=' "$log")"
standpipe_stop

# ---- the journal ----

# a second on from where it stands, 30 records have bytes that are not those of their CID
relay_stop
from=$(($(sql 'select seq from standpipe.watermark') + 400))
relay_start serve "$T/generated.frames" --listen "${relay_url#ws://}" --rate 400 --past "$from" \
	$(seq -f '--wrong-cid %.0f' "$from" $((from + 29)))
level info
: >"$log"
export JOURNAL_STREAM
JOURNAL_STREAM=$(stat -c %d:%i "$log")
standpipe_run
wait_until 'grep -q supervisor.healthy "$log"' 30
ok "in the journal: priorities instead of times" grep -q '^<5>notice supervisor.healthy role=supervisor' "$log"
none "on every line" "$(grep -v '^<[3-7]>' "$log")"

# ---- what comes with every event ----

ok "records are refused" wait_until '[ "$(sql "select coalesce(max(seq), 0) from standpipe.dead_letters")" -gt $((from + 20)) ]' 60
flows
is "ten of them are lines of their own" "$(grep -c 'warning op.refused role=reader-0 seq=' "$log")" 10

# ---- one error, once ----

kill -KILL "$redis_pid"
wait "$redis_pid" 2>/dev/null
ok "an outage is an error with its way out" wait_until 'grep -q "^<3>error worker.redis_failed role=worker-0 .*action=" "$log"' 20
ok "that lasts: it says how many more in how long" \
	wait_until 'grep -qE "worker.redis_failed role=worker-0 .* repeated=\"[1-9][0-9]* more in [1-9][0-9]* s\"$" "$log"' 30
ok "and seldom said" test "$(grep -c 'worker.redis_failed role=worker-0' "$log")" -le 5
standpipe_stop
is "TERM exits 0" "$standpipe_status" 0
refused=$(sql "select count(*) from standpipe.dead_letters")
ok "more than ten were refused ($refused)" test "$refused" -gt 10
ok "the others are one line, with their number" \
	grep -qE "^<4>warning op.refused role=reader-0 repeated=\"$((refused - 10)) more in [0-9]+ s\"$" "$log"
ok "where they become dead letters too" test "$(sed -nE 's/.*worker.dead_lettered .*repeated="([0-9]*) more.*/\1/p' "$log" |
	awk '{ n += $1 } END { print n }')" = $((refused - $(grep -c 'worker.dead_lettered .*class=refused' "$log")))
unset JOURNAL_STREAM
plan
