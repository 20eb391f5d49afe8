#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Somebody else has the first packs of an epoch passed over, before any of it was stored: nothing stored lies before
# them, yet they are an exact gap.
. "$(dirname "$0")/../lib.sh"

gaps() {
	sql 'select after_epoch, after_seq, epoch, first_seq, reason from standpipe.gaps order by epoch, first_seq'
}

# The relay says nothing before it is let go.
hold_relay() {
	relay_start serve "$T/generated.frames" ${relay_url:+--listen "${relay_url#ws://}"}
	kill -STOP "$relay_pid"
}

# pass_over EPOCH: what the source has is in the stream, and the first half of it is called done. Sets $middle.
pass_over() {
	local ids held

	wait_until '[ -n "$(pids_of worker)" ] && [ -n "$(pids_of reader)" ]' 30 || bail "no workers"
	kill -STOP $(pids_of worker)
	kill -CONT "$relay_pid"
	ok "epoch $1: everything is in the stream" \
		wait_until "[ \"\$(redis xrevrange $stream + - count 1 | grep -a -m 1 -x '[0-9]*-[0-9]*')\" = $1-$last ]" 60
	mapfile -t ids < <(redis xrange "$stream" "$1-0" + | grep -a -x "$1-[0-9]*")
	middle=${ids[${#ids[@]} / 2]}
	# a worker that waited for entries when it was stopped was given some
	mapfile -t held < <(redis xpending "$stream" "$group" - + 1000 | grep -a -x "$1-[0-9]*")
	[ ${#held[@]} -eq 0 ] || redis xack "$stream" "$group" "${held[@]}" >"$T/acked"
	redis xgroup setid "$stream" "$group" "$middle" >"$T/setid"
	kill -KILL $(pids_of worker)
}

"$relay" generate --out "$T/generated" --frames 5000 --gaps 5 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_url=
hold_relay
pg_start
redis_start
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
standpipe_run
pass_over 1
ok "what follows is committed" wait_committed "$last" 60
first="0|0|1|$((${middle#1-} + 1))|never_stored"
is "what was passed over, and nothing else, is a gap" "$(gaps)" "$first"
ok "fsck knows of it" standpipe fsck

standpipe_stop
relay_stop
ok "it can be read again" standpipe rewind oldest
hold_relay
standpipe_run
pass_over 2
ok "what follows is committed again" wait_until '[ "$(sql "select epoch from standpipe.watermark")" = 2 ] && committed "$last"' 60
is "the beginning of a later epoch is a gap, too" "$(gaps)" "$first
1|$last|2|$((${middle#2-} + 1))|never_stored"
ok "fsck knows of both" standpipe fsck

standpipe_stop
relay_stop
ok "read once more" standpipe rewind oldest
hold_relay
kill -CONT "$relay_pid"
standpipe_run
ok "and then all is there" wait_until '[ "$(sql "select epoch from standpipe.watermark")" = 3 ] && committed "$last"' 60
ok "0 differences" "$compare" "$T/generated"
is "which is no further gap" "$(gaps | wc -l)" 2
plan
