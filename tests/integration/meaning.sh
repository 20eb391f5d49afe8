#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a sequence of events means: the bugs that other readers of the firehose have, as claims. Each holds
# when all events are one batch of one worker, and when three workers take one event at a time.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/meaning/cases.sh"

# ---- a record before what it refers to ----

events reply-first <<'E'
create bob post/r {"text": "re", "reply": {"root": ref(alice/post/#1), "parent": ref(alice/post/#1)}}
create eve post/r {"text": "re: re", "reply": {"root": ref(alice/post/#1), "parent": ref(bob/post/r)}}
create eve post/lost {"text": "re", "reply": {"root": ref(alice/post/#1), "parent": ref(nobody/post/p)}}
create alice post/#1 {"text": "hi"}
E
is_live "a reply that came before its post is there and complete" bob/post/r eve/post/r
is_waiting "a reply whose parent never came waits" eve/post/lost
expect "the post is not lost for the reply that came first" \
	"select count(*) from bsky.posts where actor = bsky.actor_id('$(did alice)') and text = 'hi'" 1
expect "its replies are counted" "select replies from bsky.post_counts where actor = bsky.actor_id('$(did alice)')" 1

events quote-first <<'E'
create bob post/q {"embed": {"$type": "app.bsky.embed.record", "record": ref(alice/post/p)}}
create bob post/m {"embed": {"$type": "app.bsky.embed.recordWithMedia", "record": {"$type": "app.bsky.embed.record", "record": ref(alice/post/p)}, "media": {"$type": "app.bsky.embed.external"}}}
create alice post/p {"text": "quoted"}
E
is_live "a quote that came before its post is complete, with media too" bob/post/q bob/post/m alice/post/p
counts "both quotes count" alice/p 0 0 0 2

events like-first <<'E'
create bob like/1 {"subject": ref(alice/post/p)}
create bob repost/1 {"subject": ref(alice/post/p)}
create eve like/1 {"subject": ref(alice/post/p)}
create alice post/p {"text": "liked"}
create dan like/1 {"subject": ref(alice/post/p)}
create dan like/2 {"subject": ref(alice/post/never)}
E
is_live "a like or repost that came before its post is complete" bob/like/1 bob/repost/1 eve/like/1 dan/like/1
is_waiting "a like of a post that never came waits" dan/like/2
counts "what came before the post counts as what came after" alice/p 3 1 0 0

events other-parents-late <<'E'
create bob listitem/1 {"list": uri(alice/list/l), "subject": did(eve)}
create bob listblock/1 {"subject": uri(alice/list/l)}
create bob listitem/2 {"list": uri(alice/list/never), "subject": did(eve)}
create bob starterpack/s {"list": uri(alice/list/l), "name": "s"}
create bob threadgate/p {"post": uri(bob/post/p)}
create bob postgate/p {"post": uri(bob/post/p)}
create eve profile/self {"joinedViaStarterPack": ref(bob/starterpack/t)}
create eve like/g {"subject": ref(alice/generator/g)}
create eve like/s {"subject": ref(alice/service/self)}
create eve like/t {"subject": ref(bob/starterpack/t)}
create alice list/l {"name": "l", "purpose": "app.bsky.graph.defs#curatelist"}
create bob post/p {"text": "gated"}
create bob starterpack/t {"list": uri(alice/list/l), "name": "t"}
create alice generator/g {"did": did(alice), "displayName": "g"}
create alice service/self {"policies": {"labelValues": []}}
E
is_live "complete once the parent is there, whatever its kind" bob/listitem/1 bob/listblock/1 bob/starterpack/s \
	bob/threadgate/p bob/postgate/p eve/profile/self eve/like/g eve/like/s eve/like/t
is_waiting "an item of a list that never came is stored and waits" bob/listitem/2

events other-parents-never <<'E'
create bob listblock/1 {"subject": uri(alice/list/l)}
create bob starterpack/s {"list": uri(alice/list/l), "name": "s"}
create bob threadgate/p {"post": uri(bob/post/p)}
create bob postgate/p {"post": uri(bob/post/p)}
create eve profile/self {"joinedViaStarterPack": ref(bob/starterpack/t)}
create eve like/g {"subject": ref(alice/generator/g)}
create eve like/s {"subject": ref(alice/service/self)}
create eve like/t {"subject": ref(bob/starterpack/t)}
create eve repost/l {"subject": ref(alice/list/l)}
create eve post/q {"embed": {"$type": "app.bsky.embed.record", "record": ref(alice/generator/g)}}
E
is_waiting "waits while the parent is not there, whatever its kind" bob/listblock/1 bob/starterpack/s \
	bob/threadgate/p bob/postgate/p eve/profile/self eve/like/g eve/like/s eve/like/t eve/repost/l eve/post/q
expect "each missing parent is one row of the queue" "select count(*) from standpipe.pending_top
	where uri like '%.other-parents-never.test/%'" 5

# ---- the newest version wins, in whatever order they come ----

events delete-first <<'E'
rev=9 delete bob post/p
rev=5 create bob post/p {"text": "overtaken"}
delete bob like/unknown
E
is_deleted "a create that its delete overtook stays deleted" bob/post/p
is_deleted "the delete of what was never seen is kept" bob/like/unknown

events deleted-and-back <<'E'
create bob post/p {"text": "first"}
delete bob post/p
create bob post/p {"text": "second"}
create bob like/l {"subject": ref(bob/post/p)}
delete bob like/l
E
has_text "a record created again under its old key lives, with its new value" bob/post/p second
is_deleted "a deleted one stays deleted" bob/like/l
counts "and does not count" bob/p 0 0 0 0

events older-update <<'E'
rev=3 create bob profile/self {"displayName": "three"}
rev=9 update bob profile/self {"displayName": "nine"}
rev=5 update bob profile/self {"displayName": "five"}
rev=5 create bob post/p {"text": "of an older commit"}
update eve profile/self {"displayName": "never created"}
E
expect "an update is not lost to an older version that comes later" "$(field "value->>'displayName'" bob/profile/self)" nine
is_live "a commit older than the repo's newest still counts for other records" bob/post/p
is_live "an update of what was never created is a record" eve/profile/self

events one-commit <<'E'
commit bob
create post/p {"text": "gone at once"}
delete post/p
delete post/q
create post/q {"text": "the last operation counts"}
end
E
is_deleted "of a commit's operations on one record the last counts" bob/post/p
has_text "and not the largest" bob/post/q "the last operation counts"

events twice <<'E'
rev=7 create bob post/p {"text": "once"}
rev=7 create bob post/p {"text": "once"}
create bob like/1 {"subject": ref(bob/post/p)}
create bob like/2 {"subject": ref(bob/post/p)}
create bob repost/1 {"subject": ref(bob/post/p)}
E
expect "a commit that comes twice is one record" \
	"select count(*) from bsky.posts where actor = bsky.actor_id('$(did bob)')" 1
is_live "a second like of the same post under another key is a record too" bob/like/1 bob/like/2
is_live "like and repost of one post by one account do not exclude each other" bob/like/1 bob/repost/1

# ---- parents that change ----

events parent-back <<'E'
create alice post/p {"text": "first"}
create bob post/r {"reply": {"root": ref(alice/post/p), "parent": ref(alice/post/p)}}
delete alice post/p
create eve post/r {"reply": {"root": ref(alice/post/p), "parent": ref(alice/post/p)}}
delete alice post/gone
create eve post/s {"reply": {"root": ref(alice/post/gone), "parent": ref(alice/post/gone)}}
create alice post/p {"text": "second"}
E
is_live "replies to a post that was deleted and created again are complete" bob/post/r eve/post/r
counts "and count" alice/p 0 0 2 0
is_live "a reply to a deleted post does not wait: the deletion is known" eve/post/s
expect "a known deletion is no missing parent" \
	"select count(*) from standpipe.pending where actor = bsky.actor_id('$(did alice)')" 0

events points-elsewhere <<'E'
create alice post/p {}
create alice post/q {}
create bob post/r {"reply": {"root": ref(alice/post/p), "parent": ref(alice/post/p)}}
update bob post/r {"reply": {"root": ref(alice/post/q), "parent": ref(alice/post/q)}}
create bob threadgate/g {"post": uri(alice/post/never)}
update bob threadgate/g {"post": uri(alice/post/p)}
create bob threadgate/h {"post": uri(alice/post/p)}
update bob threadgate/h {"post": uri(alice/post/never)}
create bob post/s {"reply": {"root": ref(alice/post/never), "parent": ref(alice/post/never)}}
update bob post/s {"text": "no reply any more"}
E
counts "a reply updated to another parent leaves the old one" alice/p 0 0 0 0
counts "and counts for the new one" alice/q 0 0 1 0
is_live "an update away from a missing parent ends the waiting" bob/threadgate/g bob/post/s
is_waiting "an update to a missing parent begins it" bob/threadgate/h

events cycles <<'E'
create bob post/self {"reply": {"root": ref(bob/post/self), "parent": ref(bob/post/self)}}
create bob post/a {"embed": {"$type": "app.bsky.embed.record", "record": ref(eve/post/b)}}
create eve post/b {"embed": {"$type": "app.bsky.embed.record", "record": ref(bob/post/a)}}
create bob follow/self {"subject": did(bob)}
create bob post/c {"reply": {"root": ref(bob/post/d), "parent": ref(bob/post/d)}}
create bob post/d {"reply": {"root": ref(bob/post/c), "parent": ref(bob/post/c)}}
E
is_live "a record may refer to itself, two to each other" bob/post/self bob/post/a eve/post/b bob/follow/self \
	bob/post/c bob/post/d
counts "and each counts as a quote of the other" bob/a 0 0 0 1
counts "a post that replies to itself has one reply" bob/self 0 0 1 0

# ---- accounts ----

events account-deleted <<'E'
create alice post/p {"text": "stays"}
create bob post/p {"text": "goes"}
create bob like/l {"subject": ref(alice/post/p)}
create bob com.example.thing/x {"a": 1}
create eve like/l {"subject": ref(bob/post/p)}
account bob deleted
E
is_deleted "a deleted account's records are gone, of every collection" bob/post/p bob/like/l bob/com.example.thing/x
counts "they do not count" alice/p 0 0 0 0
expect "it is inactive" "select active, status from bsky.accounts where did = '$(did bob)'" "f|deleted"
expect "nothing of it is in the feed" "select count(*) from bsky.feed where did = '$(did bob)'" 0
is_live "others' records that refer to it stay" eve/like/l

events account-back <<'E'
create bob post/p {"text": "there again"}
account bob deactivated
account bob active
create eve post/before {"text": "before the deletion"}
account eve deleted
account eve active
create eve post/after {"text": "after it"}
create dan post/p {"text": "hidden"}
account dan takendown
E
is_live "a deactivated account that comes back has its records" bob/post/p
expect "and is seen" "select text from bsky.feed where did = '$(did bob)'" "there again"
is_deleted "an account that was deleted and comes back does not revive its old records" eve/post/before
expect "only what came after is seen" "select text from bsky.feed where did = '$(did eve)'" "after it"
is_live "a taken down account's records are kept" dan/post/p
expect "but not seen" "select count(*) from bsky.feed where did = '$(did dan)'" 0

events handle-moves <<'E'
identity alice name.test
identity bob other.test
identity alice other.test
identity bob name.test
identity eve name.test
E
expect "a handle moves between accounts, each has what was said of it last" \
	"select string_agg(split_part(did, '.', 1) || ' ' || handle, ',' order by did) from bsky.accounts
		where did like '%.handle-moves.test'" \
	"did:web:alice other.test,did:web:bob name.test,did:web:eve name.test"

events never-wrote <<'E'
sync quiet
create bob follow/f {"subject": did(ghost)}
create bob block/b {"subject": did(ghost)}
E
expect "a #sync alone makes an account known, being followed does not" \
	"select string_agg(split_part(did, '.', 1) || ' ' || present, ',' order by did) from bsky.accounts
		where did like '%.never-wrote.test'" \
	"did:web:bob true,did:web:ghost false,did:web:quiet true"
is_live "a follow or block of an account never seen does not wait" bob/follow/f bob/block/b

# ---- what is data and no reference ----

events no-reference <<'E'
create bob like/handle {"subject": {"uri": "at://name.test/app.bsky.feed.post/p", "cid": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}}
create bob like/record {"subject": ref(alice/com.example.thing/x)}
create bob like/garbage {"subject": {"uri": "at://", "cid": "x"}}
create bob follow/handle {"subject": "name.test"}
create bob post/via {"via": ref(alice/post/never), "embed": {"$type": "app.bsky.embed.record", "record": ref(alice/com.example.thing/x)}}
E
is_live "a reference by handle, to a custom record or malformed is data: nothing waits" \
	bob/like/handle bob/like/record bob/like/garbage bob/follow/handle bob/post/via
expect "and its value is as it came" "$(field "value->'subject'->>'uri'" bob/like/handle)" \
	"at://name.test/app.bsky.feed.post/p"

# ---- sizes and keys ----

long=$(printf 'k%.0s' {1..512})
events sizes <<E
create bob com.example.deep/40 {"deep": nested(40)}
create bob com.example.deep/1000 {"deep": nested(1000)}
create bob post/deep {"text": "deep", "extra": nested(40)}
create bob post/64k {"text": text(65536)}
create bob post/400k {"text": text(400000)}
create bob post/$long {"text": "a key of 512 characters"}
create bob like/l {"subject": ref(bob/post/$long)}
create bob com.example.thing/$long {"a": 1}
create bob like/$long {"subject": ref(bob/post/$long)}
create bob com.example.thing/a:b_c-d.~ {"a": "every character a key may have"}
E
is_live "a record nested deeper than 32 levels is stored" bob/com.example.deep/40 bob/com.example.deep/1000 bob/post/deep
expect "with its value" "$(field "length((value->'deep')::text)" bob/com.example.deep/1000)" 2000
for size in 64k:65536 400k:400000; do
	expect "a text of ${size#*:} bytes is whole" "$(field "length(value->>'text')" "bob/post/${size%:*}")" "${size#*:}"
done
is_live "a key of 512 characters, or of every character allowed, is a key" "bob/post/$long" bob/like/l \
	"bob/com.example.thing/$long" "bob/like/$long" "bob/com.example.thing/a:b_c-d.~"
counts "and what refers to it counts" "bob/$long" 2 0 0 0

events kept <<'E'
create bob com.example.thing/x {"a": [1, -2, null, true, {"$link": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}, {"$bytes": "AAEC"}]}
create bob app.bsky.feed.post2/x {"text": "a collection that looks like one of ours"}
create bob post/nul {"text": "a\u0000b"}
create bob post/notext {}
create! bob post/nodate {"$type": "app.bsky.feed.post", "text": "no createdAt"}
create bob post/long {"text": text(5000), "langs": ["en", "en", "en", "en", "en"]}
create bob post/images {"text": "", "embed": {"$type": "app.bsky.embed.images", "images": [{"alt": "no blob"}]}}
create! bob like/bare {"$type": "app.bsky.feed.like"}
create bob list/none {"purpose": 5}
E
is_live "a custom collection is kept" bob/com.example.thing/x bob/app.bsky.feed.post2/x
expect "with every type of value" "$(field "value->'a'" bob/com.example.thing/x)" \
	'[1, -2, null, true, {"$link": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}, {"$bytes": "AAEC"}]'
expect "U+0000 becomes U+FFFD, and the record itself is kept" "$(field "value->>'text', raw is not null" bob/post/nul)" \
	$'a\xef\xbf\xbdb|t'
is_live "what its lexicon calls invalid is a record all the same" bob/post/notext bob/post/nodate bob/post/long \
	bob/post/images bob/like/bare bob/list/none

redis_start
serve_cases 1 4096
check_cases "one batch, "
standpipe_stop
relay_stop
serve_cases 3 1 --rate 60
ok "most events were a pack of their own" test "$(redis xlen "$stream")" -gt $((3 * $(last_seq "$T/cases.frames") / 4))
check_cases "three workers, "
ok "standpipe fsck finds nothing wrong" standpipe fsck --cids
is "no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
plan
