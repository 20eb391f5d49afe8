#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# standpipe stream: info tells marks, depth and consumers; tail prints what is in the stream, in order, and what
# comes; neither delivers or acknowledges anything. replay delivers once more what is still there.
. "$(dirname "$0")/../lib.sh"

# says TEXT STATUS ARGUMENTS...: the command exits with STATUS and prints TEXT (an extended regular expression).
says() {
	local text=$1 status=$2

	shift 2
	standpipe stream "$@" >"$T/said" 2>&1
	[ $? = "$status" ] && grep -qE -- "$text" "$T/said" && return
	sed 's/^/said: /' "$T/said"
	return 1
}

redis_start
"$relay" generate --out "$T/early" --frames 1500 >"$T/generate.log" 2>&1 || bail "generate failed"
"$relay" generate --out "$T/later" --frames 200 --seed 2 --seq0 1500 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
relay_start serve "$T/early.frames"
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
ok "a Redis where standpipe never was: exit 1" says 'standpipe stream: ' 1 info
is "nothing in it: tail of it is empty" "$(standpipe stream tail --count 5 2>&1; echo "exit $?")" "exit 0"
standpipe_run
ok "every frame is committed and acknowledged" wait_committed 1500 60

ok "info: the head" says '^head +1-1500$' 0 info
ok "info: the consumers" says '^  standpipe-w[01] +pending 0, idle [0-9.]+ s$' 0 info
ok "info: all events were appended, none waits" says '^depth +0 events, 0 bytes' 0 info
entries=$(redis xlen "$stream")
is "info: entries" "$(sed -n 's/^entries *//p' "$T/said")" "$entries"
is "info: next ordinal" "$(sed -n 's/^next ordinal *//p' "$T/said")" "$(redis hget "$stream:meta" next_ordinal)"

groups=$(redis xinfo groups "$stream")
standpipe stream tail --count 1000 >"$T/tail"
is "tail: every event once, in order" "$(cut -d ' ' -f 1 "$T/tail")" "$(seq -f 1-%g 1 1500)"
record=$(grep -m 1 '"collection":"app.bsky.feed.post"' "$T/early.records.jsonl")
did=$(sed 's/.*"did":"\([^"]*\)".*/\1/' <<<"$record")
rkey=$(sed 's/.*"rkey":"\([^"]*\)".*/\1/' <<<"$record")
ok "tail: with the author and the operations" grep -qE "^1-[0-9]+ commit $did .*create:app.bsky.feed.post/$rkey" "$T/tail"
standpipe stream tail --count 1 >"$T/one"
is "tail --count 1: the newest entry" "$(tail -n 1 "$T/one" | cut -d ' ' -f 1)" 1-1500
ok "tail --count 1: not the others" test "$(wc -l <"$T/one")" -lt 1500
is "the group has not noticed" "$(redis xinfo groups "$stream")" "$groups"

"$standpipe" stream tail -c "$T/standpipe.conf" >"$T/follow" 2>&1 &
follow=$!
servers+=("$follow")
ok "tail without --count shows what is there" wait_until 'grep -q "^1-1500 " "$T/follow"' 20
relay_stop
relay_start serve "$T/later.frames" --listen "${relay_url#ws://}"
ok "and what comes" wait_until 'grep -q "^1-1700 " "$T/follow"' 60
kill -INT "$follow" 2>/dev/null || bail "tail ended by itself"
kill "$follow" 2>/dev/null # a background process of a script ignores INT
wait "$follow" 2>/dev/null
cut -d ' ' -f 1 "$T/follow" >"$T/places"
is "in order" "$(cat "$T/places")" "$(sort -t - -s -k 2n "$T/places")"
is "nothing twice" "$(sort "$T/follow" | uniq -d)" ""

# what a mistake took away comes back from the stream, while everything runs
follows=$(sql "select count(*) from bsky.follows")
sql "delete from bsky.follows; delete from bsky.likes where seq > 700" || bail "nothing to take away"
cat "$T/early.records.jsonl" "$T/later.records.jsonl" >"$T/both.records.jsonl"
ok "records are missing" test "$(sql 'select count(*) from bsky.likes where seq > 700')" = 0
ok "replay of what comes after a place" says '^the workers get everything after 1-600 once more$' 0 replay --from 1-600
ok "brings it back" wait_until '[ "$(sql "select count(*) from bsky.likes where seq > 700")" -gt 0 ]' 30
ok "everything is acknowledged again" wait_committed 1700 30
ok "replay of all there is" says '^the workers get everything after 0-0 once more$' 0 replay --from oldest
ok "brings back the rest" wait_until '[ "$(sql "select count(*) from bsky.follows")" = "$follows" ] && committed 1700' 30
ok "delivery is at the end again" wait_until 'redis xinfo groups "$stream" | grep -qx 1-1700' 30
is "the watermark never went back" "$(sql 'select seq from standpipe.watermark')" 1700
is "nobody started anew" "$(grep -c 'child.started.*worker' "$T/standpipe.log")" 2
ok "what was not delivered yet cannot be replayed" says 'delivery is at 1-1700$' 1 replay --from 1-1700
redis xtrim "$stream" maxlen = 2 >/dev/null
ok "nor what is not there any more" says 'reaches back to 1-[0-9]+ only.*standpipe rewind' 1 replay --from 1-5
ok "a place that is none is a usage error" says '^usage' 64 replay --from 1
ok "so is replay without one" says '^usage' 64 replay
ok "and tail with one" says '^usage' 64 tail --from oldest
ok "--count 0 is a usage error" says '^usage' 64 tail --count 0
ok "info takes no --count" says '^usage' 64 info --count 1
standpipe_stop
redis xadd other:events '1-7' p rubbish >/dev/null
sed -i "s#redis: {#redis: { stream = \"other:events\";#" "$T/standpipe.conf"
ok "an entry that is no pack is named" says '^1-7 no-pack ' 0 tail --count 5
kill "$redis_pid"
wait "$redis_pid" 2>/dev/null
ok "without Redis: exit 69" says 'standpipe stream: ' 69 info
plan
