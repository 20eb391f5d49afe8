#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# standpipe migrate and standpipe pending: twice, twice at once, under another role, refused when the
# schema is newer; missing parents are listed, retried and dropped.
. "$(dirname "$0")/../lib.sh"

key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
did=did:plc:ewvi7nxzyoun6zhxrhs64oiz
post=at://$did/app.bsky.feed.post/3jzfcijpj2z2a
list=at://$did/app.bsky.graph.list/favourites

migrate() {
	standpipe migrate "$@" 2>&1
}

# exits STATUS COMMAND...
exits() {
	local expected=$1 found

	shift
	"$@"
	found=$?
	[ "$found" -eq "$expected" ] || { echo "exit $found, expected $expected"; return 1; }
}

# ---- migrate ----

pg_start
standpipe_conf
versions=$(ls "$top"/sql | sed 's/^/applied /; s/[.]sql$//')
newest=$(ls "$top"/sql | wc -l)
is "an empty database gets every migration" "$(migrate --installation-key "$key")" "$versions"
is "a second time there is nothing to do" "$(migrate)" "schema is at version $newest: nothing to do"
is "each migration is recorded once" "$(sql 'select count(*), max(version) from standpipe.schema_version')" "$newest|$newest"
is "the given key is the installation key" "$(sql "select value from standpipe.meta where key = 'installation_key'")" "$key"
ok "the same key again is accepted" exits 0 migrate --installation-key "$key"
ok "another key is refused" exits 1 migrate --installation-key "${key//0/1}"
ok "what is no key is a usage error" exits 64 migrate --installation-key 123
is "the watermark is one row at 0, 0" "$(sql 'select epoch, seq from standpipe.watermark')" "0|0"
is "bsky.records answers" "$(sql 'select count(*) from bsky.records')" 0
sql "insert into standpipe.schema_version values ($newest + 1, 'from_the_future')"
ok "a newer schema is refused" exits 1 migrate
ok "and the versions are named" grep -q "version $((newest + 1)).*only $newest" <(migrate)

pg_start
standpipe_conf
for i in 1 2 3; do
	standpipe migrate >"$T/migrate-$i.out" 2>&1 &
	pids[i]=$!
done
for i in 1 2 3; do
	wait "${pids[i]}"
	is "migrate at the same time as two others, $i: exit 0" $? 0
done
is "and every migration was applied once" "$(sort "$T"/migrate-?.out | grep -c '^applied')" "$newest"
ok "a key was made" grep -qxE '[0-9a-f]{64}' <(sql "select value from standpipe.meta where key = 'installation_key'")

pg_start
sql "drop role if exists standpipe_test_worker" 2>/dev/null
sql "create role standpipe_test_worker login" || bail "no role"
owner="host=$PGHOST user=$PGUSER dbname=$PGDATABASE"
PGUSER=standpipe_test_worker standpipe_conf
ok "migrate as the owner grants the configured role what it needs" exits 0 migrate --conninfo "$owner" --installation-key "$key"
worker() {
	PGUSER=standpipe_test_worker psql -XAtq -v ON_ERROR_STOP=1 -c "$1"
}
ok "the role may read the views" worker 'select * from bsky.records, bsky.accounts, standpipe.status, standpipe.pending_top'
ok "write records" worker 'begin; insert into bsky.actors values (1, $$x$$); insert into bsky.follows (rkey, actor, rev, seq, epoch, cid) values (1, 1, 1, 1, 1, $$$$); update bsky.follows set seq = 0'
ok "move the watermark" worker 'update standpipe.watermark set seq = 0'
ok "but not update keys" exits 1 worker 'update bsky.actors set did = did'
ok "nor delete records" exits 1 worker 'delete from bsky.follows'
ok "nor create tables" exits 1 worker 'create table bsky.mine (i int)'

# ---- pending: as that role ----

pending() {
	standpipe pending "$@" 2>&1
}

sql "begin;
	insert into bsky.actors select bsky.actor_id(d), d from unnest(array['$did', 'did:web:child']) d;
	insert into bsky.keys select bsky.rkey_id(r), bsky.actor_id('$did'), k, case when bsky.rkey_id(r) < 0 then r end
		from (values ('3jzfcijpj2z2a', 1), ('favourites', 3)) v (r, k);
	insert into standpipe.pending (rkey, actor, kind, attempts, next_retry, first_seen)
		select rkey, actor, kind, 7, now() + interval '1 hour', now() - interval '2 hours' - kind * interval '1 s' from bsky.keys;
	insert into bsky.likes (rkey, actor, rev, seq, epoch, cid, subject_rkey, subject_actor, subject_kind)
		select i, bsky.actor_id('did:web:child'), i, i, 1, sha256(''), rkey, actor, kind from bsky.keys, generate_series(1, 5) i where kind = 1;
	insert into bsky.keys values (9, bsky.actor_id('did:web:child'), 1);
	insert into bsky.posts (rkey, actor, rev, seq, epoch, cid, reply_root_rkey, reply_root_actor, reply_root_kind,
		reply_parent_rkey, reply_parent_actor, reply_parent_kind)
		select 9, bsky.actor_id('did:web:child'), 9, 9, 1, sha256(''), rkey, actor, kind, rkey, actor, kind
		from bsky.keys where rkey > 9 and kind = 1;
	commit" || bail "no rows"
ok "list shows both parents, the oldest first" test "$(pending list | sed 1d | cut -d' ' -f1 | tr '\n' ' ')" = "$list $post "
is "top counts their children, one per reply" "$(pending top | sed 1d | awk '{ print $1, $2 }')" "$post 6
$list 0"
ok "as JSON" perl -MJSON::PP -e '
	my $rows = decode_json(join "", <STDIN>);
	exit !(@$rows == 1 && $rows->[0]{uri} eq $ARGV[0] && $rows->[0]{children} == 6 && $rows->[0]{age_s} >= 7200)' \
	"$post" < <(pending top --json --limit 1)
is "none expired" "$(pending list --state expired)" "no missing parents"
is "none expired, as JSON" "$(pending list --state expired --json)" "[]"
ok "retry of one" exits 0 pending retry "$list"
is "makes it due, the other stays" "$(sql 'select kind, attempts from standpipe.pending where next_retry <= now()')" "3|0"
sql "update standpipe.pending set state = 'expired'"
is "retry of all, expired ones too" "$(pending retry --all)" "2 missing parents are due now"
is "all wait again" "$(sql "select count(*) from standpipe.pending where state = 'waiting' and attempts = 0 and next_retry <= now()")" 2
ok "drop says that the children stay waiting" grep -q 'stays waiting' <(pending drop "$post")
is "and takes the row away" "$(sql 'select kind from standpipe.pending')" 3
is "the children stay" "$(sql "select count(*) from bsky.records where state = 'waiting'")" 6
ok "drop of what is no missing parent: exit 1" exits 1 pending drop "$post"
for words in drop "drop --all" "retry" "retry $post --all" "list $post" "list --limit x" "list --state lost" \
	"retry at://$did/app.bsky.feed.like/3jzfcijpj2z2a" "retry at://name.example/app.bsky.feed.post/a" "sing" ""; do
	ok "usage error: pending $words" exits 64 pending $words
done
sed -i "s/dbname=[^\"]*/dbname=no_such_database/" "$T/standpipe.conf"
ok "without the database: exit 69" exits 69 pending list
ok "without the database: exit 69, migrate" exits 69 migrate
psql -XAtqd postgres -c "drop database $PGDATABASE with (force)" -c "drop role standpipe_test_worker" >/dev/null 2>&1
plan
