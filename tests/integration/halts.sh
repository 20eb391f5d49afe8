#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A relay whose numbers were reset: reading halts with an alarm, whether the relay says FutureCursor or silently
# begins below our head; nothing is thrown away, and `standpipe rewind oldest` is the way out.
. "$(dirname "$0")/../lib.sh"

# says_why TEXT: status exits 1 and its reason has TEXT.
says_why() {
	standpipe status --json >"$T/status.json" 2>"$T/status.err"
	[ $? = 1 ] && grep -qF -- "$1" "$T/status.json"
}

# halts NAME RELAY-OPTIONS TEXT: the relay comes back under its old address with new numbers.
halts() {
	local address

	pg_start
	redis flushall >/dev/null
	: >"$T/standpipe.log"
	relay_start serve "$T/before.frames"
	address=${relay_url#ws://}
	standpipe_start
	ok "$1: all that was there is committed" wait_committed 9300 60
	relay_stop
	relay_start serve "$T/after.frames" --listen "$address" $2
	ok "$1: reading halts" wait_until 'grep -q "source.halted" "$T/standpipe.log"' 60
	ok "$1: it says what it is and the way out" grep -q "source.halted.*$3.*standpipe rewind oldest" "$T/standpipe.log"
	ok "$1: status says so" wait_until "says_why 'it was reset or is another host'" 20
	is "$1: nothing of it was read" "$(redis xinfo stream "$stream" | sed -n '/^last-generated-id$/{n;p;}')" 1-9300
	standpipe_stop
	ok "$1: rewind oldest" standpipe rewind oldest
	standpipe_run
	ok "$1: then it reads the new numbers" wait_until '[ "$(sql "select epoch from standpipe.watermark")" = 2 ] && committed 400' 60
	is "$1: every record of both is there" "$(sql "select count(*) from bsky.records where state <> 'deleted'")" "$expected"
	is "$1: no gap, no dead letter" "$(sql 'select count(*) from standpipe.gaps union all
		select count(*) from standpipe.dead_letters')" $'0\n0'
	standpipe_stop
	relay_stop
}

redis_start
"$relay" generate --out "$T/before" --frames 300 --seq0 9000 >"$T/generate.log" 2>&1 || bail "generate failed"
"$relay" generate --out "$T/after" --frames 400 --seed 2 >"$T/generate.log" 2>&1 || bail "generate failed"
expected=$(cat "$T/before.records.jsonl" "$T/after.records.jsonl" | grep -vc '"state":"deleted"')
halts "a relay that says so" "" FutureCursor
halts "a silent relay" "--silent --rate 500" "begins at seq"
plan
