#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Missing parents that were given up long before they arrive complete their children all the same: when they
# expired changes nothing of the result.
. "$(dirname "$0")/../lib.sh"

arrived="select count(*) from standpipe.pending p where bsky.has_content(p.rkey, p.actor, p.kind)"

"$relay" generate --out "$T/generated" --frames 4000 --late 40 --late-span 3000 >"$T/generate.log" 2>&1 ||
	bail "generate failed"
pg_start
redis_start
relay_start serve "$T/generated.frames" --rate 400
set_pending='retry = 1.0; retry_max = 2.0; expire = 1.0;'
standpipe_start
ok "parents are given up while the firehose flows" \
	wait_until '[ "$(sql "select count(*) from standpipe.pending where state = '"'expired'"'")" -gt 50 ]' 60
sql "create table given_up as select rkey, actor, kind from standpipe.pending where state = 'expired'" || bail "no table"
is "the firehose is not over" "$(committed 4000 && echo over)" ""
ok "every frame is committed" wait_committed 4000 60
ok "some of those given up have arrived since" test "$(sql 'select count(*) from given_up
	where bsky.has_content(rkey, actor, kind)')" -gt 20
ok "they leave the queue" wait_until '[ "$(sql "$arrived")" = 0 ]' 20
ok "0 differences, also in what waits" "$compare" "$T/generated"
plan
