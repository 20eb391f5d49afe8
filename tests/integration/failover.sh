#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Several source.urls: when a relay is gone, reading goes on at the next that answers, from ten minutes before the
# last event, whatever its seqs are; if it has nothing so old, at its oldest frame, and that is a gap.
. "$(dirname "$0")/../lib.sh"
eps=4 overlap=600 seq0=31000000000

# generate NAME OPTIONS...
generate() {
	local name=$1

	shift
	"$relay" generate --out "$T/$name" --frames 6000 --seed 5 --eps $eps "$@" >"$T/generate.log" 2>&1 || bail "generate failed"
}

# fails_over OTHER-RELAY'S ARGUMENTS...: reads 4000 frames of the first, then that is gone.
fails_over() {
	local other

	pg_start
	redis flushall >/dev/null
	: >"$T/standpipe.log"
	relay_start "$@"
	other_pid=$relay_pid other=$relay_url
	relay_start serve "$T/first.frames" --rate 2000
	relay_url="$relay_url\", \"ws://127.0.0.1:9\", \"$other"
	standpipe_start
	ok "4000 frames of the first relay are read" \
		wait_until '[ "$(sql "select seq from standpipe.watermark where epoch = 1")" -gt 4000 ]' 60
	relay_stop
	ok "then the next that answers is read" wait_until '[ "$(sql "select max(epoch) from standpipe.epochs")" = 2 ]' 60
	is "it is that one" "$(sql 'select host from standpipe.epochs where epoch = 2')" "$other"
}

# Of the newest epoch, and of the last event before it.
start_of() {
	sql 'select start from standpipe.epochs where epoch = 2'
}
last_before() {
	redis xrevrange "$stream" '(2-0' - count 1 | grep -a -m 1 -o '^1-[0-9]*$' | sed 's/1-//'
}

over() {
	standpipe_stop
	kill "$other_pid"
}

redis_start
generate first --start 2026-01-01T00:00:00Z
generate second --start 2026-01-01T00:00:00Z --seq0 $seq0
ok "two relays tell the same with other seqs" cmp "$T/first.records.jsonl" "$T/second.records.jsonl"
last=$((seq0 + 6000))

for options in "" "--inclusive --silent"; do
	fails_over serve "$T/second.frames" $options
	ok "everything is committed" wait_committed $last 60
	back=$(($(last_before) - ($(start_of) - seq0)))
	ok "it begins ten minutes before the last event (${options:-exclusive}): $back frames" \
		test "$back" -ge $((overlap * eps)) -a "$back" -le $(((overlap + 60) * eps))
	is "which is no gap" "$(sql 'select count(*) from standpipe.gaps')" 0
	ok "0 differences" "$compare" "$T/second"
	over
done

generate later --start 2026-01-01T12:00:00Z --seq0 $seq0
fails_over serve "$T/later.frames"
ok "everything is committed" wait_committed $last 60
is "a relay that has nothing so old begins at its oldest" "$(start_of)" oldest
is "what is between is a gap" "$(sql 'select epoch, after_epoch, after_seq, first_seq, reason from standpipe.gaps')" \
	"2|1|$(last_before)|$((seq0 + 1))|new_epoch"
over
plan
