#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Relays differ: cursors that include their seq, fragmented messages, gaps in the seqs, connections cut, ranges
# never announced. The same records, no gaps, and fsck finds nothing.
. "$(dirname "$0")/../lib.sh"

# reads SEED RELAY-OPTIONS...
reads() {
	local seed=$1 last

	shift
	"$relay" generate --out "$T/generated" --frames 6000 --seed "$seed" --odd=5 --late 10 --gaps 3 \
		--seq0 31000000000 >"$T/generate.log" 2>&1 || bail "generate failed"
	last=$(last_seq "$T/generated.frames")
	relay_start serve "$T/generated.frames" "$@"
	pg_start
	redis flushall >/dev/null
	standpipe_start
	ok "$*: every frame is committed" wait_committed "$last" 60
	ok "$*: 0 differences" "$compare" "$T/generated"
	ok "$*: fsck finds nothing, every CID is right" "$standpipe" fsck --cids -c "$T/standpipe.conf"
	is "$*: no gaps" "$(sql 'select count(*) from standpipe.gaps')" 0
	is "$*: no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
	standpipe_stop
	relay_stop
}

redis_start
reads 11 --inclusive --fragment 700
reads 12 --silent --cut-after 1500
plan
