#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The same events a second time, under a new epoch, change no byte of the canonical dump.
. "$(dirname "$0")/../lib.sh"

# The canonical dump: records and accounts, C collation, fixed formats.
dump() {
	sql "select did, collection, rkey, state, rev, cid, value from bsky.records
		order by did collate \"C\", collection collate \"C\", rkey collate \"C\""
	sql "select did, handle, active, status, present, desynchronized from bsky.accounts where present order by did collate \"C\""
	sql "select * from standpipe.gaps order by 1, 2, 3, 4"
}

replay() {
	local name=$1 frames=$2 last

	last=$(last_seq "$frames")
	relay_start serve "$frames"
	pg_start
	redis flushall >/dev/null
	standpipe_start
	ok "$name: every frame is committed" wait_committed "$last" 60
	ok "$name: nothing runs twice: rewind is refused while running" \
		test "$("$standpipe" rewind oldest -c "$T/standpipe.conf" >/dev/null 2>&1; echo $?)" = 75
	standpipe_stop
	dump >"$T/first"
	ok "$name: the dump is not empty" test -s "$T/first"
	ok "$name: rewind oldest" "$standpipe" rewind oldest -c "$T/standpipe.conf"
	standpipe_run
	ok "$name: every frame is committed again, under epoch 2" \
		wait_until '[ "$(sql "select epoch, seq from standpipe.watermark")" = "2|'"$last"'" ]' 60
	standpipe_stop
	dump >"$T/second"
	ok "$name: no byte of the dump has changed" cmp "$T/first" "$T/second"
	relay_stop
}

redis_start
if [ -n "${STANDPIPE_SHARED-}" ]; then
	replay pds "$STANDPIPE_SHARED/frames/pds.frames"
	replay synth "$STANDPIPE_SHARED/frames/synth.frames"
else
	skip "pds: no recorded frames (STANDPIPE_SHARED)"
	skip "synth: no recorded frames (STANDPIPE_SHARED)"
fi
"$relay" generate --out "$T/generated" --frames 3000 --odd=3 >"$T/generate.log" 2>&1 || bail "generate failed"
replay generated "$T/generated.frames"
plan
