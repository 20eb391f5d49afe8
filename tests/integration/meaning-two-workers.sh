#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Events that belong together, handled by two workers in the wrong order: what the one that came late says
# changes nothing that was newer. A lock holds one worker back while the other goes on; nothing is left to luck.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/meaning/cases.sh"

pg_start own
redis_start
events overtaken <<'E'
create alice post/p {"text": "there from the beginning"}
E
"$frames" <"$script" >"$T/cases.frames" || bail "no frames"
relay_start serve "$T/cases.frames"
set_workers='count = 2; batch_events = 1;'
standpipe_start
ok "the first event is committed" wait_committed 1 20

# The first commit below holds a like, and likes are written before everything else in it.
lock "lock table bsky.likes in share row exclusive mode"
events overtaken <<'E'
commit bob
create like/held {"subject": ref(alice/post/p)}
create post/deleted {"text": "the create"}
create post/updated {"text": "the older version"}
create post/parent {"text": "the parent"}
create listitem/1 {"list": uri(alice/list/l), "subject": did(alice)}
end
E
serve_more
ok "one worker waits with the creates" wait_until 'stands_before bsky.likes' 20
events overtaken <<'E'
delete bob post/deleted
update bob post/updated {"text": "the newer version"}
create eve post/child {"reply": {"root": ref(bob/post/parent), "parent": ref(bob/post/parent)}}
create alice list/l {"name": "l", "purpose": "p"}
E
serve_more
ok "the other one stores what came after" wait_until '[ "$(sql "select count(*) from bsky.lists")" = 1 ]' 20
is "the delete is there, the create is not" "$(sql "$(field state bob/post/deleted)")" deleted
is "a child waits while its parent's worker does" "$(sql "$(field state eve/post/child)")" waiting
is "the watermark has not passed what is held back" "$(sql 'select seq from standpipe.watermark')" 1
unlock
ok "then every event is committed" wait_committed 6 30
is_deleted "a create that its delete overtook in another worker is deleted" bob/post/deleted
has_text "an update is not lost to the create that comes after it" bob/post/updated "the newer version"
is_live "a child is complete the moment its parent comes, from whichever worker" eve/post/child bob/post/parent
is_live "a list item and its list that two workers handled" bob/listitem/1 alice/list/l
check_cases ""
ok "no parent is missing" wait_until '[ "$(sql "select count(*) from standpipe.pending")" = 0 ]' 20

# ---- hot posts: every account likes all of them, every other one in reverse order ----

# likes_of ACCOUNT POST...: one event each.
likes_of() {
	local account=$1 post

	shift
	for post; do
		echo "create $account like/$post {\"subject\": ref(alice/post/$post)}"
	done
}

hot() {
	local account

	for account in {1..60}; do
		if [ $((account % 2)) = 0 ]; then likes_of "a$account" p{1..10}; else likes_of "a$account" p{10..1}; fi
	done
	for post in p{1..10}; do echo "create alice post/$post {}"; done
}

claims=() queries=() answers=()
standpipe_stop
events hot < <(hot)
set_workers='count = 4; batch_events = 3;' standpipe_conf
standpipe_run
serve_more --past 6 --rate 400
ok "hot posts: every event is committed" wait_committed "$(last_seq "$T/cases.frames")" 40
for post in p1 p5 p10; do
	counts "60 accounts like it, in both orders" "alice/$post" 60 0 0 0
done
expect "no like waits" "select count(*) from bsky.records where collection = 'app.bsky.feed.like' and state <> 'live'
	and did like '%.hot.test'" 0
check_cases ""
# a like whose deletion another worker was quicker with is not new: its batch is done again
is "PostgreSQL reported no error: no deadlock, no refused row, only likes that were there" \
	"$(grep -E '(ERROR|FATAL|PANIC):' "$T/postgres.log" | grep -v 'duplicate key value violates unique constraint "likes_pkey"')" ""
plan
