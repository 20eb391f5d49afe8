#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Records that no lexicon allows: each valid DAG-CBOR is stored with its value and CID, each other is a dead
# letter with the reason; PostgreSQL never sees what it could refuse, and nothing stays unacknowledged.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/meaning/cases.sh"

n=0

# record COLLECTION JSON [VERB]: of an account of its own, because one may keep a collection at a single key.
record() {
	n=$((n + 1))
	echo "${3-create} a$n $1/r$n $2"
}

# Every field that becomes a column, with every kind of value that does not belong there.
wrong_types() {
	local collection field value

	while read -r collection fields; do
		for field in $fields; do
			for value in null true 5 -1 '""' '"x"' '"\u0000"' '"at://"' '[]' '[1]' '[null]' '[["x"]]' '{}' \
				'{"uri":5}' '{"uri":"x","cid":"y"}' '{"uri":uri(al/post/p),"cid":5}' '{"record":{"uri":5}}' \
				'{"$type":5}' '{"$type":"a.b.c"}' '[{"features":[{"$type":"app.bsky.richtext.facet#tag"}]}]' \
				'{"root":{"uri":uri(al/post/p)},"parent":[]}' 'did(al)' 'uri(al/post/p)' 'text(3000)'; do
				record "$collection" "{\"$field\": $value}"
			done
		done
	done <<-'E'
		post text createdAt reply embed langs facets tags labels
		like subject createdAt via
		repost subject
		follow subject createdAt
		block subject
		list name purpose
		listitem list subject
		listblock subject
		starterpack list
		threadgate post
		postgate post
		profile displayName joinedViaStarterPack
		generator did
		app.bsky.graph.verification subject handle
		app.bsky.actor.status status
		app.bsky.notification.declaration allowSubscriptions
	E
}

dates() {
	local date collection

	for date in 0000-01-01T00:00:00Z 0001-01-01T00:00:00.000Z 9999-12-31T23:59:59.999Z 10000-01-01T00:00:00Z \
		300000-01-01T00:00:00Z -0044-03-15T00:00:00Z 2024-02-30T00:00:00Z 2024-12-31T23:59:60Z 2024-01-01T24:00:00Z \
		2024-01-01T00:00:00+99:99 2024-01-01T00:00:00-00:00 2024-01-01T00:00:00.123456789Z 2024-01-01 infinity \
		-infinity now epoch yesterday allballs 0 '2024-01-01T00:00:00' ' 2024-01-01T00:00:00Z' 2024-01-01T00:00:00z; do
		for collection in post like follow com.example.date; do
			record "$collection" "{\"createdAt\": \"$date\", \"subject\": did(al)}"
		done
	done
}

shapes() {
	local collection

	for collection in post like follow profile listitem com.example.thing; do
		record "$collection" '{}' 'create!'
		record "$collection" '{"$type": "app.bsky.feed.repost"}' 'create!'
		record "$collection" '{"$type": 5}' 'create!'
		record "$collection" '{"$type": "", "text": "t", "subject": did(al)}' 'create!'
		record "$collection" '{"subject": {"$link": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}}'
		record "$collection" '{"text": {"$bytes": "AAEC/w"}, "subject": {"$bytes": ""}}'
		record "$collection" '{"text": nested(900)}'
		for cbor in 80 8101 01 20 60 f6 f5 40; do	# not a map: [], [1], 1, -1, "", null, true, bytes
			record "$collection" "cbor($cbor)"
		done
		# {"a": [[[...]]]} deeper than any JSON here; {"": 1}; {"\u0000": 1}; {"$link": 1}
		record "$collection" "cbor(a16161$(printf '81%.0s' {1..1500})80)"
		record "$collection" 'cbor(a16001)'
		record "$collection" 'cbor(a1610001)'
		record "$collection" 'cbor(a165246c696e6b01)'
	done
}

# {"n": NUMBER, "$type": "app.bsky.feed.post"}: the ends of what an integer and a float can be.
numbers() {
	local number

	for number in 1b7fffffffffffffff 1b8000000000000000 1bffffffffffffffff 3b7fffffffffffffff 3b8000000000000000 \
		3bffffffffffffffff fb3ff8000000000000 fb7fefffffffffffff fb0000000000000001; do
		record post "cbor(a2616e${number}652474797065726170702e62736b792e666565642e706f7374)"
		record com.example.number "cbor(a1616e${number})"
	done
}

texts() {
	local text

	for text in '"a\"b","c\\d","{}","","NULL","null"," a ",","' '"a\u0000b","\u0000"' '"\u001f\u007f\u0080"' \
		'"\uFFFE\uFFFF\uD83F\uDFFF\uDBFF\uDFFF"' '"\u202E\u200D\uFEFF","e\u0301"' '"\\","\\\\","'"'"'","$$"'; do
		record post "{\"text\": \"x\", \"langs\": [$text], \"tags\": [$text]}"
		record com.example.text "{\"a\": [$text]}"
	done
	record post '{"text": text(1000000)}'
	record com.example.text '{"text": text(1000000)}'
	record post '{"facets": array(100000)}'
	record post '{"langs": array(100000)}'
	record com.example.text '{"a": array(100000)}'
	record post "{\"langs\": [$(seq -f '"l%g"' -s, 100000)]}"
	record post "{$(seq -f '"k%06.0f":0' -s, 50000)}"
	record follow "{\"subject\": \"did:web:$(printf 'x%.0s' {1..2000}).test\"}"
	record like "{\"subject\": {\"uri\": \"at://did:web:x.test/app.bsky.feed.post/$(printf 'k%.0s' {1..600})\", \"cid\": \"\"}}"
	record like "{\"subject\": {\"uri\": \"at://did:web:x.test/app.bsky.feed.post/$(printf 'k%.0s' {1..9000})\", \"cid\": \"\"}}"
}

references() {
	record listitem '{"list": uri(al/post/p), "subject": did(al)}'	# a list that is a post
	record threadgate '{"post": uri(al/list/l)}'
	record like '{"subject": ref(al/like/l)}'
	for uri in at:// at://did:web:x.test at://did:web:x.test/app.bsky.feed.post at://did:web:x.test/app.bsky.feed.post/ \
		at://did:web:x.test/app.bsky.feed.post/a/b 'at://did:web:x.test/app.bsky.feed.post/a?b' \
		'at://did:web:x.test/app.bsky.feed.post/a#b' at://did:web:x.test/app.bsky.feed.post/. \
		at://did:x/app.bsky.feed.post/a at://x.test/app.bsky.feed.post/a AT://did:web:x.test/app.bsky.feed.post/a \
		https://bsky.app/profile/x/post/y; do
		record like "{\"subject\": {\"uri\": \"$uri\", \"cid\": \"bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454\"}}"
		record post "{\"reply\": {\"root\": {\"uri\": \"$uri\"}, \"parent\": {\"uri\": \"$uri\"}}}"
	done
	echo 'create self like/l {"subject": ref(self/like/l)}'
	echo 'create self post/p {"reply": {"root": ref(self/post/p), "parent": ref(self/post/p)}, "embed": {"$type": "app.bsky.embed.record", "record": ref(self/post/p)}}'
	echo 'create self listitem/i {"list": uri(self/listitem/i), "subject": did(self)}'
	echo 'create self starterpack/s {"list": uri(self/starterpack/s)}'
	echo 'create self threadgate/p {"post": uri(self/threadgate/p)}'
	echo 'create self profile/self {"joinedViaStarterPack": ref(self/starterpack/s)}'
}

# What is no strict DAG-CBOR, as "REASON HEX"; _ stands for any character.
invalid() {
	cat <<-E
		truncated
		truncated a161
		trailing a0a0
		not_in_its_shortest a161611817
		not_in_its_shortest a178016101
		indefinite bf616101ff
		tag_other a16161c001
		simple_value a16161f7
		float a16161fb7ff8000000000000
		float a16161fb7ff0000000000000
		float a16161fb8000000000000000
		float a16161fa3fc00000
		map_key_that_is_not_text a10102
		keys_not_sorted a2616201616102
		duplicate a2616101616102
		not_UTF_8 a1616163eda080
		not_UTF_8 a1616161ff
		bad_CID a16161d82a4100
		too_deep a16161$(printf '81%.0s' {1..5000})80
	E
}

events bad < <(wrong_types; dates; shapes; numbers; texts; references)
"$frames" --records "$T/cases.records.jsonl" <"$script" >"$T/cases.frames" || bail "no frames"
: >"$T/cases.accounts.jsonl"
good=$(wc -l <"$T/cases.records.jsonl")
ok "there are many of them" test "$good" -gt 900
{
	echo "scope bad"
	i=0
	while read -r reason hex; do
		i=$((i + 1))
		[ $i -gt 1 ] || printf 'seq=100000 '
		echo "create dead post/$reason-$i cbor($hex)"
	done < <(invalid)
	echo 'create dead post/record_too_large {"text": text(1048576)}'
	printf 'identity odd \x01\x02.\n'
	echo 'account odd hibernating-%s'
} >"$T/dead"
"$frames" <"$T/dead" >>"$T/cases.frames" || bail "no frames"

pg_start own
redis_start
relay_start serve "$T/cases.frames"
set_workers='count = 2; batch_events = 300;'
standpipe_start
ok "every one is committed and acknowledged" wait_committed "$(last_seq "$T/cases.frames")" 50
ok "each of $good is stored with its value and its CID" "$compare" "$T/cases"
ok "each gives its bytes back" standpipe fsck --cids
is "live or waiting" "$(sql "select string_agg(distinct state, ',' order by state) from bsky.records
	where did not like 'did:web:dead%'")" "live,waiting"
is "each that is no DAG-CBOR is a dead letter with its bytes and the reason" \
	"$(sql "select count(*), count(*) filter (where reason like '%' || split_part(rkey, '-', 1) || '%' and class = 'invalid_record')
		from standpipe.dead_letters where rkey like '%-%' and bytes is not null")" "$(invalid | wc -l)|$(invalid | wc -l)"
is "one that is too large too" "$(sql "select class, reason from standpipe.dead_letters where rkey not like '%-%'")" \
	"refused|record_too_large"
is "an account's made-up status is kept" "$(sql "select status from bsky.accounts where did = 'did:web:odd.bad.test'")" \
	"hibernating-%s"
is "PostgreSQL reported no error" "$(grep -E '(ERROR|FATAL|PANIC):' "$T/postgres.log")" ""
is "no batch had to be split" "$(standpipe status --json | grep -o '"bisections": *[0-9]*' | tr -dc 0-9)" 0
plan
