#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Workers that die or stand still while their transaction is under way: whatever becomes of it, and however late,
# nothing is lost or doubled. Their statements wait for a lock meanwhile, so that the server goes on without them.
. "$(dirname "$0")/../lib.sh"

workers="pg_stat_activity where datname = current_database() and application_name like 'standpipe-w%'"

# hold SECONDS: a lock that lets nobody write likes; returns when a worker waits for it.
hold() {
	psql -XAtq -c "begin; lock table bsky.likes in exclusive mode; select pg_sleep($1); commit" >"$T/hold.log" 2>&1 &
	holder=$!
	wait_until '[ "$(sql "select count(*) from $workers and wait_event_type = '"'Lock'"'")" -gt 0 ]' 20
}

# end_sessions CONDITION
end_sessions() {
	sql "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and $1" >/dev/null
}

# pid_of SLOT
pid_of() {
	local pid

	for pid in $(pids_of worker); do
		! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--slot[ =]$1 " || echo "$pid"
	done
}

# pending_of SLOT: ids of entries.
pending_of() {
	redis xpending "$stream" "$group" - + 1000 "standpipe-w$1" | grep -a -x '1-[0-9]*'
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

# one stands still in it; another gets its entries, and has to wait for its rows; then it goes on as if nothing had been
seen=$(sql 'select seq from standpipe.watermark')
ok "both are back" wait_until '[ "$(sql "select count(*) from $workers")" = 2 ] &&
	[ "$(pids_of worker | wc -l)" = 2 ] && [ "$(sql "select seq from standpipe.watermark")" -gt "$seen" ]' 30
hold 600
slot=$(sql "select right(application_name, 1) from $workers and wait_event_type = 'Lock' limit 1")
pid=$(pid_of "$slot") other=$((1 - slot))
kill -STOP "$pid"
mapfile -t ids < <(pending_of "$slot")
ok "it has entries pending" test ${#ids[@]} -gt 0
redis xclaim "$stream" "$group" "standpipe-w$other" 0 "${ids[@]}" justid >/dev/null
kill -KILL "$(pid_of "$other")"	# when it is back it reads what is pending for it
end_sessions "application_name = 'standpipe-w$other'"
end_sessions "query like '%pg_sleep(600)%' and pid <> pg_backend_pid()"
wait "$holder"
ok "its entries are another's, who comes to write them" wait_until '[ "$(sql "
	select count(*) from $workers and application_name = '"'standpipe-w$other'"'
	and pg_blocking_pids(pid) && array(select pid from $workers and application_name = '"'standpipe-w$slot'"')")" = 1 ]' 25
ok "it is still standing" grep -q '^State:.*T' "/proc/$pid/status"
kill -CONT "$pid"
ok "every frame is committed and acknowledged" wait_committed "$last" 60
ok "it goes on" kill -0 "$pid"
ok "0 differences" "$compare" "$T/generated"
is "no dead letters, no gaps" "$(sql 'select count(*) from standpipe.dead_letters union all select count(*) from standpipe.gaps')" $'0\n0'
ok "fsck finds nothing" "$standpipe" fsck -c "$T/standpipe.conf"
plan
