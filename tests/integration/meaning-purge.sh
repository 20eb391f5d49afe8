#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A deleted account's records are emptied: key, version and position stay, every content goes, in every table,
# that of late commits too; a keeper that is killed goes on where it was; what is not dead is not touched.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/meaning/cases.sh"

# contents(did): per record table the account's rows, and those with a value in any column beside key,
# version and position.
functions="create function contents(did text) returns table (name text, n bigint, n_full bigint) language plpgsql as \$f\$
declare t record; begin
	for t in select c.oid::regclass as name, string_agg(quote_ident(attname), ', ') as columns
		from pg_class c join pg_attribute a on a.attrelid = c.oid and attnum > 0 and not attisdropped
		where relnamespace = 'bsky'::regnamespace and relkind = 'r' and attname not in
			('collection', 'rkey', 'actor', 'rev', 'seq', 'epoch', 'kind', 'cid', 'rkey_text')
			and exists (select from pg_attribute x where x.attrelid = c.oid and x.attname = 'cid')
		group by c.oid
	loop
		return query execute format('select %L::text, count(*), count(*) filter (where num_nonnulls(%s) > 0)
			from %s where actor = bsky.actor_id(%L)', t.name, t.columns, t.name, did);
	end loop;
end \$f\$"

# full NAME: tables in which the account has contents, of tables in which it has rows.
full() {
	sql "select count(*) filter (where n_full > 0) || ' of ' || count(*) from contents('$(did "$1")') where n > 0"
}

is_full() {
	[ "$(full "$1")" = "$2" ]
}

# What bsky.records says of an account.
records_of() {
	sql "select md5(string_agg(r::text, '' order by uri)) from bsky.records r where did = '$(did "$1")'"
}

# One record of every collection that has a table, and one of another.
everything() {
	cat <<-E
		create $1 post/p {"text": "t", "langs": ["en"], "tags": ["a"], "reply": {"root": ref(dan/post/p), "parent": ref(dan/post/p)}, "embed": {"\$type": "app.bsky.embed.record", "record": ref(dan/post/p)}}
		create $1 post/nul {"text": "raw: \u0000"}
		create $1 like/l {"subject": ref(dan/post/p), "unknown": 1}
		create $1 like/#1 {"subject": ref(dan/post/p)}
		create $1 repost/r {"subject": ref(dan/post/p)}
		create $1 follow/f {"subject": did(dan)}
		create $1 block/b {"subject": did(dan)}
		create $1 list/l {"name": "l", "purpose": "p", "description": "d"}
		create $1 listitem/i {"list": uri($1/list/l), "subject": did(dan)}
		create $1 listblock/b {"subject": uri($1/list/l)}
		create $1 starterpack/s {"list": uri($1/list/l), "name": "s"}
		create $1 app.bsky.graph.verification/v {"subject": did(dan), "handle": "h.test", "displayName": "d"}
		create $1 profile/self {"displayName": "d", "joinedViaStarterPack": ref($1/starterpack/s)}
		create $1 app.bsky.actor.status/self {"status": "app.bsky.actor.status#live"}
		create $1 generator/g {"did": did(dan), "displayName": "g"}
		create $1 threadgate/p {"post": uri($1/post/p)}
		create $1 postgate/p {"post": uri($1/post/p)}
		create $1 service/self {"policies": {}}
		create $1 app.bsky.notification.declaration/self {"allowSubscriptions": "none"}
		create $1 chat.bsky.actor.declaration/self {"allowIncoming": "none"}
		create $1 com.example.thing/x {"a": 1}
		create $1 post/gone {"text": "deleted before"}
		delete $1 post/gone
	E
}

# ---- as a role that owns nothing ----

events purge < <(everything bob; everything eve; echo "create dan post/p {}"; echo "account eve deactivated")
"$frames" <"$script" >"$T/cases.frames" || bail "no frames"
pg_start own
redis_start
relay_start serve "$T/cases.frames"
sql "create role standpipe_worker login"
owner="host=$PGHOST user=$PGUSER dbname=$PGDATABASE"
set_workers='count = 2; batch_events = 1;' PGUSER=standpipe_worker standpipe_conf
standpipe migrate --conninfo "$owner" >"$T/migrate.log" 2>&1 || bail "migrate failed"
sql "$functions"
standpipe_run
ok "every event is committed" wait_committed "$(last_seq "$T/cases.frames")" 20
is "an account has contents in every table" "$(full bob)" "19 of 19"
kept=$(sql "select md5(string_agg((collection, rkey, rev)::text, '' order by collection, rkey)) from bsky.records where did = '$(did bob)'")
eve=$(records_of eve)

# ---- killed on the way: a row of reposts is locked, so the pass stands there ----

lock "update bsky.reposts set seq = seq where actor = bsky.actor_id('$(did bob)')"
events purge <<'E'
account bob deleted
create bob post/after {"text": "after the deletion"}
E
serve_more
ok "a pass stands before a locked row, what was before it is emptied" wait_until \
	'[ "$(sql "select table_name from standpipe.purge")" = posts ] && [ "$(full bob)" = "17 of 19" ]' 20
sql "update bsky.likes set extra = '{}' where actor = bsky.actor_id('$(did bob)')"
kill -KILL "$(pids_of keeper)"
ok "the watermark moves while the pass stands" wait_committed "$(last_seq "$T/cases.frames")" 20
unlock
ok "then the rest is emptied by a new keeper" wait_until \
	'[ "$(sql "select target_epoch is null and through_seq > 0 from standpipe.purge")" = t ]' 20
is "it went on where the killed one was" \
	"$(sql "select string_agg(name, ',' order by name) from contents('$(did bob)') where n_full > 0")" "bsky.likes,bsky.posts"
is "in posts what came after the deletion is left" \
	"$(sql "select text from bsky.posts where actor = bsky.actor_id('$(did bob)') and num_nonnulls(text, value, raw, created_at) > 0")" \
	"after the deletion"
is "every key and rev stays" "$(sql "select md5(string_agg((collection, rkey, rev)::text, '' order by collection, rkey))
	from bsky.records where did = '$(did bob)' and rkey <> 'after'")" "$kept"
is "an account that is only inactive keeps everything" "$(records_of eve) $(full eve)" "$eve 19 of 19"

# ---- what came back by other hands ----

sql "update standpipe.purge set swept_at = now() - interval '25 hours'"
ok "once a day everything dead is looked at again" wait_until 'is_full bob "1 of 19"' 20

# ---- a late commit: one worker is kept from writing it until another has written the deletion ----

lock "lock table bsky.blocks in share row exclusive mode"
last=$(last_seq "$T/cases.frames")
events purge <<'E'
commit fay
create block/b {"subject": did(dan)}
create post/late {"text": "late"}
end
E
serve_more
ok "a worker waits with its commit" wait_until 'stands_before bsky.blocks' 20
events purge <<'E'
account fay deleted
E
serve_more
ok "another one stores the deletion meanwhile" wait_until \
	'[ "$(sql "select active from bsky.accounts where did = \$\$$(did fay)\$\$")" = f ]' 20
is "the watermark has not passed it" "$(sql "select seq from standpipe.watermark")" "$last"
unlock
ok "the late commit comes" wait_committed $((last + 2)) 20
is "its records are dead from the first moment" \
	"$(sql "select count(*), min(state), max(state) from bsky.records where did = '$(did fay)'")" "2|deleted|deleted"
ok "and are emptied" wait_until 'is_full fay "0 of 2"' 20
ok "standpipe fsck finds nothing wrong with what is left" standpipe fsck --cids
is "PostgreSQL reported no error but the locks not got in time" \
	"$(grep -E '(ERROR|FATAL|PANIC):' "$T/postgres.log" | grep -vE 'due to lock timeout|client lost')" ""
plan
