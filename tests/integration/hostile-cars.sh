#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# CARs, operations and sizes that are just wrong, over the wire: each is refused for exactly its reason, is a dead letter
# and is counted; what is odd but right is stored, and nothing else is.
. "$(dirname "$0")/../lib.sh"

# counter NAME: the reader's
counter() {
	standpipe status --json | grep -o "\"$1\": *[0-9]*" | head -n 1 | tr -dc 0-9
}

"$top/tests/hostile-cars" "$T/hostile" "$(date +%s)000000" || bail "no frames"
pg_start
redis_start
relay_start serve "$T/hostile.frames"
standpipe_start
ok "reading goes on past all of them, to the last frame" wait_committed "$(last_seq "$T/hostile.frames")" 60
sql "copy (select seq, op, class, reason from standpipe.dead_letters) to stdout (delimiter '|')" |
	LC_ALL=C sort >"$T/letters"
while IFS=$'\t' read -r seq claim; do
	wanted=$(grep -E "^$seq\|" "$T/hostile.letters")
	is "$claim: ${wanted:-stored}" "$(grep -E "^$seq\|" "$T/letters")" "$wanted"
done <"$T/hostile.cases"
ok "these are all dead letters" diff <(LC_ALL=C sort "$T/hostile.letters") "$T/letters"
sql "copy (select did, collection, rkey, cid from bsky.records) to stdout (delimiter '|')" | LC_ALL=C sort >"$T/records"
ok "and these all records: $(wc -l <"$T/hostile.records") of what is right" \
	diff <(LC_ALL=C sort "$T/hostile.records") "$T/records"
n_bad=$(grep -c '|bad|' "$T/letters") n_refused=$(grep -c '|refused|' "$T/letters")
is "each malformed frame is counted at each of its three sightings" "$(counter frames_bad)" $((n_bad * 3))
is "and ended two connections" "$(counter disconnects)" $((n_bad * 2))
is "each refused operation is counted" "$(counter ops_bad)" "$n_refused"
is "there is no gap" "$(sql 'select count(*) from standpipe.gaps')" 0
ok "rows and ledger add up" standpipe fsck --cids
plan
