#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Workers that die or stand still while their transaction is under way: whatever becomes of it, and however late,
# nothing is lost or doubled. Their statements wait for a lock meanwhile, so that the server goes on without them.
. "$(dirname "$0")/../lib.sh"

waiting() {
	sql "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
		and application_name like 'standpipe-w%'"
}

# hold SECONDS: a lock that lets nobody write likes; returns when a worker waits for it.
hold() {
	psql -XAtq -c "begin; lock table bsky.likes in exclusive mode; select pg_sleep($1); commit" >/dev/null &
	holder=$!
	wait_until '[ "$(waiting)" -gt 0 ]' 20
}

"$relay" generate --out "$T/generated" --frames 8000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 400
pg_start
redis_start
set_workers='claim_interval = 1.0;'
standpipe_start
ok "events flow" wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 200 ]' 30

killed=0
for ((i = 0; i < 4; i++)); do
	hold 1.5 || break
	kill -KILL $(pids_of worker) && killed=$((killed + 1))
	wait "$holder"
done
is "workers were killed in the middle of a transaction that the server went on with" "$killed" 4

# one stands still in it; another gets its entries; then it goes on as if nothing had been
hold 1.5
pid=$(pids_of worker | head -n 1)
slot=$(tr '\0' ' ' <"/proc/$pid/cmdline" | sed 's/.*--slot[ =]\([0-9]*\).*/\1/')
kill -STOP "$pid"
wait "$holder"
mapfile -t ids < <(redis xpending "$stream" "$group" - + 100 "standpipe-w$slot" | grep -a -x '1-[0-9]*')
ok "it has entries pending" test ${#ids[@]} -gt 0
redis xclaim "$stream" "$group" somebody-else 0 "${ids[@]}" idle 60000 justid >/dev/null
ok "its entries are another's, who processes them" wait_until '
	[ "$(redis xpending "$stream" "$group" - + 10 somebody-else | grep -a -c somebody)" = 0 ]' 30
ok "it is still standing" grep -q '^State:.*T' "/proc/$pid/status"
kill -CONT "$pid"
ok "every frame is committed and acknowledged" wait_committed "$last" 60
ok "it goes on" kill -0 "$pid"
ok "0 differences" "$compare" "$T/generated"
is "no dead letters, no gaps" "$(sql 'select count(*) from standpipe.dead_letters union all select count(*) from standpipe.gaps')" $'0\n0'
ok "fsck finds nothing" "$standpipe" fsck -c "$T/standpipe.conf"
plan
