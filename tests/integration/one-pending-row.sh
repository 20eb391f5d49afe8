#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 100000 likes of a post that has not been seen cost one row of standpipe.pending; when the post arrives
# the row goes and no like waits any more.
. "$(dirname "$0")/../lib.sh"
likes=100000 commits=1000

"$top/tests/frames-of-likes" $likes --without-post >"$T/likes.frames" || bail "no frames"
"$top/tests/frames-of-likes" $likes >"$T/all.frames"
pg_start
redis_start
relay_start serve "$T/likes.frames"
set_pending='retry = 1.0; retry_max = 2.0;'
standpipe_start
ok "every like is committed" wait_committed $commits 100
is "$likes likes are stored" "$(sql 'select count(*) from bsky.likes')" $likes
is "one row of standpipe.pending" "$(sql 'select count(*) from standpipe.pending')" 1
is "pending_top shows the post with $likes children" "$(sql 'select children from standpipe.pending_top')" $likes
is "every like waits" "$(sql "select count(*) from bsky.records where state = 'waiting'")" $likes

relay_stop
relay_start serve "$T/all.frames" --listen "${relay_url#ws://}"
ok "the post arrives" wait_committed $((commits + 1)) 40
is "the post is there, the likes are still $likes" "$(sql "select state, count(*) from bsky.records group by 1")" \
	"live|$((likes + 1))"
ok "the row of standpipe.pending is gone" wait_until '[ "$(sql "select count(*) from standpipe.pending")" = 0 ]' 20
is "no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
plan
