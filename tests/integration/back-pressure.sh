#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A full buffer stops the reading of the source instead of losing anything: redis.max_events while the
# workers stand still, and a Redis that has no memory left.
. "$(dirname "$0")/../lib.sh"

redis_start
"$relay" generate --out "$T/generated" --frames 12000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 3000
pg_start
set_redis='max_events = 5000; '
standpipe_start
ok "events flow" wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 0 ]' 30
kill -STOP $(pids_of worker)
ok "workers that stand still: the reader pauses at max_events" \
	wait_until 'grep -q reader.paused "$T/standpipe.log"' 20
ok "the rest stays with the source" test "$(redis hget "$stream:meta" next_ordinal)" -lt 12000
kill -CONT $(pids_of worker)
ok "they go on: every frame is committed" wait_committed "$last" 60
ok "reading went on" grep -q reader.resumed "$T/standpipe.log"
ok "0 differences" "$compare" "$T/generated"
standpipe_stop

set_redis=''
redis flushall >/dev/null
pg_start
redis config set maxmemory "$(($(redis info memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p') + 300000))" >/dev/null
standpipe_start
ok "no memory: the reader says so, and the way out" \
	wait_until 'grep -q "CONFIG SET maxmemory" "$T/standpipe.log"' 30
redis config set maxmemory 1gb >/dev/null
ok "memory again: every frame is committed" wait_committed "$last" 60
ok "0 differences again" "$compare" "$T/generated"
is "no gaps" "$(sql 'select count(*) from standpipe.gaps')" 0
plan
