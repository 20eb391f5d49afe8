#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 300
# standpipe fsck: finds nothing in what standpipe wrote, also while it writes; and every kind of damage done
# by hand, by the name of the check, with the row that is wrong.
. "$(dirname "$0")/../lib.sh"

# fsck [OPTIONS]: sets found (what it printed) and status.
fsck() {
	found=$(standpipe fsck "$@" 2>&1)
	status=$?
}

# clean CLAIM [OPTIONS]
clean() {
	local claim=$1

	shift
	fsck "$@"
	tap_result "$status" "$claim" || diag <<<"$found"
}

# damaged CLAIM CHECKS PATTERN SQL [OPTIONS]: in a copy of the database, after SQL (one transaction per statement),
# exactly CHECKS fail (exit 1) and a line of what is wrong matches PATTERN.
damaged() {
	local claim=$1 checks=$2 pattern=$3 damage=$4 names

	shift 4
	export PGDATABASE=${whole}_damaged
	psql -XAtqd postgres -c "drop database if exists $PGDATABASE" -c "create database $PGDATABASE template $whole" \
		>/dev/null 2>&1 || bail "no copy of the database"
	psql -XAtq -v ON_ERROR_STOP=1 <<<"$damage" >/dev/null || bail "$claim: $damage"
	standpipe_conf
	fsck "$@"
	names=$(awk '/^FAILED/ { print $2 }' <<<"$found" | tr '\n' ' ')
	[ "$status" -eq 1 ] && [ "${names% }" = "$checks" ] && grep -E '^ *[{]' <<<"$found" | grep -qE "$pattern"
	tap_result $? "$claim" || { echo "exit $status, wanted: $checks, $pattern"; echo "$found"; } | diag
}

# ---- what standpipe wrote ----

"$relay" generate --out "$T/odd" --frames 5000 --seed 2 --odd=5 --gaps 5 --late 10 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
whole=$PGDATABASE
databases+=("${whole}_damaged")
redis_start
relay_start serve "$T/odd.frames" --rate 700
standpipe_start
ok "the schema is there" wait_until 'sql "select * from standpipe.purge"' 20
runs=0
until committed "$(last_seq "$T/odd.frames")"; do
	fsck
	[ "$status" -eq 0 ] && [ "$runs" -lt 500 ] || break
	runs=$((runs + 1))
done
tap_result "$status" "while events arrive it finds nothing" || diag <<<"$found"
ok "it was run more than once meanwhile" test "$runs" -gt 1
ok "every event is committed" wait_committed "$(last_seq "$T/odd.frames")" 60
clean "nor when all is committed, and every record gives its CID back" --cids
ok "all records that are not deleted were looked at" grep -qF \
	"($(sql "select count(*) from bsky.records where state <> 'deleted'") in " <<<"$found"
standpipe_stop
relay_stop
clean "nor when standpipe is stopped" --cids --json
ok "as JSON too" perl -MJSON::PP -e '
	my $r = decode_json(join "", <STDIN>);
	exit !($r->{ok} && @{$r->{checks}} > 10 && !grep { $_->{rows} || @{$_->{examples}} } @{$r->{checks}})' <<<"$found"
for table in likes posts follows; do
	ok "the recording has $table that are deleted" test "$(sql "select count(*) from bsky.$table where cid = ''")" -gt 0
done
ok "and records kept verbatim" test "$(sql "select count(*) from bsky.records where raw is not null")" -gt 0
ok "and missing parents" test "$(sql "select count(*) from standpipe.pending")" -gt 0

# ---- damage ----

one() {
	echo "ctid = (select ctid from $1 order by 1 limit 1)"
}
a_like=$(one "bsky.likes where cid <> '' and subject_kind = 1 and raw is null")
a_uri() {
	sql "select r.uri from bsky.records r join bsky.$2 t on t.rkey = r.rkey_id and t.actor = r.actor_id
		where r.collection = '$1' and t.$3"
}
like_uri=$(a_uri app.bsky.feed.like likes "$a_like")
missing=$(one "standpipe.pending")
missing_uri=$(sql "select bsky.key_uri(rkey, actor, kind) from standpipe.pending where $missing")

damaged "a foreign key that was dropped" foreign_keys '"table":"bsky.likes","columns":"subject_rkey, subject_actor, subject_kind".*missing' \
	"alter table bsky.likes drop constraint likes_subject_rkey_subject_actor_subject_kind_fkey"
damaged "a foreign key that is not valid" foreign_keys '"bsky.follows","columns":"subject".*not valid' \
	"alter table bsky.follows drop constraint follows_subject_fkey, add foreign key (subject) references bsky.actors not valid"
damaged "a foreign key to another table" foreign_keys '"bsky.follows","columns":"subject","target":"actors".*missing' \
	"alter table bsky.follows drop constraint follows_subject_fkey, add foreign key (subject) references bsky.account_states not valid"
damaged "a foreign key that is not enforced" foreign_keys '"bsky.blocks".*trigger disabled' "alter table bsky.blocks disable trigger all"
damaged "an index that is not valid" indexes likes_subject "update pg_index set indisvalid = false where indexrelid = 'bsky.likes_subject'::regclass"
damaged "a like of a key that is not there" orphans '"table":"bsky.likes".*"subject_rkey, .*"refers_to":"7 ' \
	"set session_replication_role = replica; update bsky.likes set subject_rkey = 7 where $a_like"
damaged "a key that is gone" orphans '"columns":"subject_rkey, ' \
	"set session_replication_role = replica; delete from bsky.keys k using bsky.likes l where l.$a_like and (k.rkey, k.actor, k.kind) = (l.subject_rkey, l.subject_actor, l.subject_kind)"
damaged "a follow of an actor that is gone" orphans '"table":"bsky.follows".*"columns":"subject"' \
	"set session_replication_role = replica; update bsky.follows set subject = 1 where $(one "bsky.follows where subject is not null")"
damaged "a missing parent that is not in the queue" pending_missing "\"uri\":\"$missing_uri\"" "delete from standpipe.pending where $missing"
damaged "a parent that is in the queue and there" pending_present '"uri":"at://.*/app.bsky.feed.post/.*"state":"expired"' \
	"insert into standpipe.pending (rkey, actor, kind, state) select rkey, actor, 1, 'expired' from bsky.posts limit 1"
damaged "an actor with the number of another DID" actor_ids '"did":"did:web:other.example"' \
	"update bsky.actors set did = 'did:web:other.example' where $(one bsky.actors)"
damaged "a record key whose number is not its own" rkey_ids '"bsky.profiles","rkey_text":"other"' \
	"update bsky.profiles set rkey_text = 'other' where $(one bsky.profiles)"
damaged "and in the keys" key_rkey_ids '"rkey_text":"other","rkey":-5' \
	"insert into bsky.keys select -5, id, 3, 'other' from bsky.actors limit 1; insert into standpipe.pending (rkey, actor, kind) select rkey, actor, kind from bsky.keys where rkey = -5"
damaged "a CID that is none" versions "\"uri\":\"$like_uri\".*\"cid_bytes\":1" "update bsky.likes set cid = '\\x00' where $a_like"
damaged "a tombstone with content" tombstones '"uri":"at://.*/app.bsky.feed.like/' "update bsky.likes set created_at = now() where $(one "bsky.likes where cid = ''")"
damaged "half a reference" half_references "\"uri\":\"$like_uri\".*\"kind\":null" "update bsky.likes set subject_kind = null where $a_like"
damaged "a reply to a list" "orphans half_references" '"reply_parent".*"kind":3' \
	"set session_replication_role = replica; update bsky.posts set reply_parent_kind = 3 where $(one "bsky.posts where reply_parent_kind = 1")"
damaged "a watermark ahead of the newest epoch" watermark '"watermark_epoch":99' "update standpipe.watermark set epoch = 99"
damaged "no watermark" watermark '"watermark_epoch":null' "delete from standpipe.watermark"
# the like is written while its index is not kept
index="where indexrelid = 'bsky.likes_subject'::regclass"
damaged "an index that misses a like" "ledger_rows post_counts" '"likes":[0-9]+,"likes_found":[0-9]+' \
	"update pg_index set indisready = false $index;
	insert into bsky.likes (rkey, actor, rev, seq, epoch, cid, created_at, subject_rkey, subject_actor, subject_kind)
		select l.rkey + 1, l.actor, l.rev, l.seq, l.epoch, l.cid, l.created_at, l.subject_rkey, l.subject_actor, 1
		from bsky.likes l join bsky.post_counts c on c.rkey = l.subject_rkey and c.actor = l.subject_actor
		where l.cid <> '' order by l.ctid limit 1;
	update pg_index set indisready = true $index;
	analyze bsky.likes"

# ---- damage that only --cids can see ----

damaged "a like with another time" cids "\"uri\":\"$like_uri\".*value gives bafyrei" \
	"update bsky.likes set created_at = created_at + interval '1 ms' where $a_like" --cids
damaged "a byte of a record kept verbatim" cids 'raw gives bafyrei' \
	"update bsky.posts set raw = set_byte(raw, 20, get_byte(raw, 20) # 1) where $(one "bsky.posts where raw is not null")" --cids
damaged "a record with another value" cids '/app.bsky.feed.post/.*value gives bafyrei' \
	"update bsky.posts set value = jsonb_set(value, '{text}', '\"\"') where $(one "bsky.posts where cid <> '' and raw is null")" --cids
damaged "a record with nothing left of it" cids '/app.bsky.actor.profile/.*neither value nor raw' \
	"update bsky.profiles set value = null where $(one "bsky.profiles where cid <> '' and raw is null")" --cids
damaged "a value that no record has" cids 'value is no JSON form' \
	"update bsky.posts set value = '0.5' where $(one "bsky.posts where cid <> '' and raw is null")" --cids
damaged "more rows than are shown" cids '"uri"' "update bsky.follows set created_at = created_at + interval '1 s' where cid <> '' and raw is null" --cids
is "10 of them are shown" "$(grep -c '"uri"' <<<"$found")" 10
ok "all are counted" grep -qx " *$(sql "select count(*) from bsky.records where collection = 'app.bsky.graph.follow'
	and state <> 'deleted' and raw is null") rows" <<<"$found"
fsck --cids --json
ok "as JSON too" perl -MJSON::PP -e '
	my $r = decode_json(join "", <STDIN>);
	my @bad = grep { $_->{rows} } @{$r->{checks}};
	exit !(!$r->{ok} && @bad == 1 && $bad[0]{check} eq "cids" && @{$bad[0]{examples}} == 10 && $bad[0]{to_do})' <<<"$found"
is "and exit 1" "$status" 1

# ---- no database to check ----

sql "update standpipe.schema_version set version = version + 1000 where version = 1"
fsck
ok "a schema of another version is not checked, but named" grep -q 'schema is at version 1001, this program needs' <<<"$found"
is "exit 1" "$status" 1
sed -i "s/dbname=[^\"]*/dbname=no_such_database/" "$T/standpipe.conf"
fsck
is "without PostgreSQL: exit 69" "$status" 69
fsck --everything
is "an unknown option: exit 64" "$status" 64
plan
