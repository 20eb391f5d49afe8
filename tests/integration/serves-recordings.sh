#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A recorded or generated firehose, from its oldest frame to its last: the database holds exactly the
# expected state.
. "$(dirname "$0")/../lib.sh"

# recording NAME PREFIX
recording() {
	pg_start
	redis flushall >/dev/null
	relay_start serve "$2.frames"
	standpipe_start
	ok "$1: every frame is committed and acknowledged" wait_committed "$(last_seq "$2.frames")" 60
	ok "$1: 0 differences" "$compare" "$2"
	[ ! -x "${2%/*}/compare" ] || ok "$1: 0 differences for the recording's own comparison too" "${2%/*}/compare" "$2"
	is "$1: no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
	is "$1: no gaps" "$(sql 'select count(*) from standpipe.gaps')" 0
	standpipe_stop
	is "$1: a drained stop exits 0" "$standpipe_status" 0
	relay_stop
}

redis_start
for name in pds synth; do
	if [ -n "${STANDPIPE_SHARED-}" ]; then
		recording "$name" "$STANDPIPE_SHARED/frames/$name"
	else
		skip "$name: no recorded frames (STANDPIPE_SHARED)"
	fi
done
"$relay" generate --out "$T/generated" --frames 5000 --late 10 >"$T/generate.log" 2>&1 || bail "generate failed"
recording generated "$T/generated"
"$relay" generate --out "$T/odd" --frames 5000 --seed 2 --odd=5 --gaps 5 >"$T/generate.log" 2>&1 || bail "generate failed"
recording "generated odd cases" "$T/odd"
plan
