#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# source.verify = "full" over recorded streams: every commit is verified with a key from its account's DID
# document, and the database ends up equal to what the recordings say, although workers, resolver and reader are
# killed meanwhile; what is damaged is a dead letter that names the check.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../verify.sh"
export set_source='verify = "full";' set_identity='refresh = 0.5;'

# Kills one child of any role that can lose a parked event, until $T/enough is there.
killer() {
	local pids

	until [ -e "$T/enough" ]; do
		mapfile -t pids < <(pids_of worker; pids_of resolver)
		[ ${#pids[@]} -eq 0 ] || ! kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || echo killed
		sleep "0.$((RANDOM % 300 + 200))"
	done >"$T/kills"
}

# start_recording FRAMES: everything is made anew but Redis and the documents.
start_recording() {
	pg_start
	relay_start serve "$1"
	standpipe_conf
	standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
}

# all_stored CLAIM FRAMES: every frame has its outcome, and nothing waits for a key.
all_stored() {
	ok "$1: every frame is in the database" wait_committed "$(last_seq "$2")" 90
	: >"$T/enough"
	ok "$1: nothing waits for a key any more" wait_until nothing_parked 90
}

check_recording() {
	local name=$1 frames=$STANDPIPE_SHARED/frames

	documents_set "$frames/$name.diddocs.json"
	start_recording "$frames/$name.frames"
	give_web_identities "$frames/$name.diddocs.json"
	standpipe_run
	[ "$name" != synth ] || { rm -f "$T/enough"; killer & servers+=("$!"); }
	ok "$name: events wait for keys" wait_until '[ "$(sql "select count(*) from standpipe.identities")" -gt 10 ]' 60
	all_stored "$name" "$frames/$name.frames"
	ok "$name: 0 differences" "$compare" "$frames/$name"
	[ "$name" != synth ] || ok "workers or the resolver were killed meanwhile" test -s "$T/kills"
	is "$name: no dead letters" "$(sql 'select class, reason, count(*) from standpipe.dead_letters group by 1, 2')" ""
	ok "$name: rows and ledger add up" standpipe fsck
	standpipe_stop
	relay_stop
	redis flushall >/dev/null
}

# The records that accounts nobody meddled with must have: lines "did collection rkey cid".
records_of_others() {
	python3 - "$1" "${@:2}" <<-'PYTHON' | LC_ALL=C sort
		import json, sys
		for line in open(sys.argv[1]):
		    r = json.loads(line)
		    if r["did"] not in sys.argv[2:]:
		        print(r["did"], r["collection"], r["rkey"], r["cid"])
	PYTHON
}

# Accounts are taken by the number of their documents: 1 has a key that was replaced since we asked, 2 a document
# with another account's key, 3 none, 4 one without a key, 5 has its frames' prevData damaged, 6 signatures with a
# high S, and 7 a document with a key of the other curve.
check_damaged() {
	local frames=$STANDPIPE_SHARED/frames did

	mapfile -t did < <(meddle "$frames/pds" "$T/damaged.frames" "$T/damaged.json")
	documents_set "$T/damaged.json"
	start_recording "$T/damaged.frames"
	sql "insert into standpipe.identities (did, curve, key, fetched_at) values ('${did[0]}', 1,
		'\\x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798', now())"
	standpipe_run
	all_stored "damaged" "$T/damaged.frames"
	is "what fails is a dead letter that names the check" "$(sql "
		select did, split_part(reason, ':', 1), count(*) > 10 from standpipe.dead_letters where class = 'unverified'
		group by 1, 2 order by 2, 1")" "$(printf '%s|%s|t\n' "${did[4]}" inversion "${did[2]}" no_key "${did[3]}" no_key \
		"${did[1]}" signature "${did[5]}" signature "${did[6]}" signature | LC_ALL=C sort -t '|' -k 2,2 -k 1,1)"
	is "nothing of them is stored as a record, nor is anything else a dead letter" "$(sql "
		select count(*) from bsky.records where did in ('${did[1]}', '${did[2]}', '${did[3]}', '${did[5]}', '${did[6]}')")$(sql "
		select count(*) from standpipe.dead_letters where class <> 'unverified'")" 00
	records_of_others "$frames/pds.records.jsonl" "${did[@]:1}" >"$T/expected"
	sql "copy (select did, collection, rkey, cid from bsky.records where state <> 'deleted') to stdout (delimiter ' ')" |
		grep -vF -e "${did[1]}" -e "${did[2]}" -e "${did[3]}" -e "${did[4]} " -e "${did[5]}" -e "${did[6]}" | LC_ALL=C sort >"$T/found"
	ok "all others have exactly their records, also the one whose key was replaced" diff "$T/expected" "$T/found"
	ok "the break that the dead letters leave is noticed" wait_until \
		'[ "$(sql "select count(*) from standpipe.broken_chains where did = '"'${did[4]}'"'")" -gt 0 ]' 30
	is "and no other" "$(sql "select distinct did from standpipe.broken_chains")" "${did[4]}"
	check_retry "${did[1]}"
	standpipe_stop
	relay_stop
	redis flushall >/dev/null
}

# A dead letter whose account has its document back is stored by a retry.
check_retry() {
	local n

	documents_set "$STANDPIPE_SHARED/frames/pds.diddocs.json"
	sql "update standpipe.identities set wanted_at = clock_timestamp(), next_try = now() where did = '$1'"
	wait_until "[ \"\$(sql \"select wanted_at is null from standpipe.identities where did = '$1'\")\" = t ]" 30
	n=$(sql "select count(*) from standpipe.dead_letters where did = '$1'")
	standpipe dead-letter retry --all >"$T/retry" 2>&1
	ok "retried dead letters of an account with its key again are stored" wait_until "nothing_parked &&
		[ \"\$(sql \"select count(*) from standpipe.dead_letters where did = '$1'\")\" = 0 ]" 60
	is "all of them" "$(sql "select count(*) > 0 from bsky.records where did = '$1'") $((n > 10))" "t 1"
}

[ -n "${STANDPIPE_SHARED-}" ] || { skip "no recordings here"; plan; exit; }
redis_start
echo '{}' >"$T/documents.json"
documents_serve "$T/documents.json"
plc_url=http://127.0.0.1:$documents_port
check_recording pds
check_recording synth
check_damaged
plan
