#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Single bits flipped on their way, with source.verify = "full": each flipped frame is refused with the check that
# noticed, or nothing that is stored changes; what is stored is exactly the rest. Through relay, reader, resolver and
# workers; tests/unit/test-verify.c flips ten thousand without them.
# bit-flips.sh [--flips N] [--seed N]
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../verify.sh"
export set_source='verify = "full";' set_identity='refresh = 0.5;'
n=25 seed=1
while [ $# -gt 0 ]; do
	case $1 in
	--flips) n=$2 ;;
	--seed) seed=$2 ;;
	*) bail "usage: bit-flips.sh [--flips N] [--seed N]" ;;
	esac
	shift 2
done

# counter NAME: the reader's
counter() {
	standpipe status --json | grep -o "\"$1\": *[0-9]*" | head -n 1 | tr -dc 0-9
}

[ -n "${STANDPIPE_SHARED-}" ] || { skip "no recordings here"; plan; exit; }
"$top/tests/bit-flips" make "$STANDPIPE_SHARED/frames/pds.frames" "$T/flipped" "$n" "$seed" || bail "no frames"
mapfile -t flips < <(sed 's/^/--flip-bit /' "$T/flipped.flips" | tr ' ' '\n')
redis_start
echo '{}' >"$T/documents.json"
documents_serve "$T/documents.json"
documents_set "$STANDPIPE_SHARED/frames/pds.diddocs.json"
plc_url=http://127.0.0.1:$documents_port
pg_start
relay_start serve "$T/flipped.frames" "${flips[@]}"
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
give_web_identities "$STANDPIPE_SHARED/frames/pds.diddocs.json"
standpipe_run
ok "reading goes on past all of them" wait_committed "$(last_seq "$T/flipped.frames")" $((60 + n * 2))
ok "nothing waits for a key" wait_until nothing_parked 60
sql "copy (select seq, op, class, reason from standpipe.dead_letters) to stdout (delimiter '|')" >"$T/letters"
sql "copy (select did, collection, rkey, cid from bsky.records where state <> 'deleted') to stdout (delimiter ' ')" \
	>"$T/records"
"$top/tests/bit-flips" judge "$T/flipped" "$T/letters" "$T/records" >"$T/judged"
status=$?
sed 's/^/# /' "$T/judged"
is "each of $n flips is refused or changes nothing, and what is stored is all the rest" "$status" 0
is "each dead letter is that of a flip" "$(cut -d '|' -f 1 "$T/letters" | sort -u | while read -r seq; do
	grep -qE "^($seq|$((seq + 1))) " "$T/flipped.flips" || echo "$seq"; done)" ""
is "each malformed frame was counted at each of its three sightings" "$(counter frames_bad)" \
	$(($(grep -c '|bad|' "$T/letters") * 3))
is "no process died" "$(grep -cE 'child[.](died|exited|stuck|killed|broken)' "$T/standpipe.log")" 0
ok "rows and ledger add up" standpipe fsck --cids
plan
