#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Somebody else acknowledges entries that no worker has stored: Redis will never deliver them again, but the ledger
# lacks their packs, and so they are exact gaps.
. "$(dirname "$0")/../lib.sh"

# runs_of ID...: the runs in which these follow each other in the stream, each as a row of standpipe.gaps: what lies
# between two of them may have been stored by the other worker.
runs_of() {
	redis xrevrange "$stream" "${@: -1}" - | grep -a -x '1-[0-9]*' | tac | awk -F - -v held="$*" '
		BEGIN { n = split(held, ids, " "); for (i = 1; i <= n; i++) is_held[ids[i]] = 1 }
		is_held[$0] { last = $2; next }
		last { print "1|" before "|1|" last + 1 "|never_stored"; last = 0 }
		{ before = $2 }
		END { print "1|" before "|1|" last + 1 "|never_stored" }'
}

gaps() {
	sql 'select after_epoch, after_seq, epoch, first_seq, reason from standpipe.gaps order by 1, 2'
}

workers_in_postgres="pg_stat_activity where datname = current_database() and application_name like 'standpipe-w%'"

"$relay" generate --out "$T/generated" --frames 5000 --gaps 5 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 300
pg_start
redis_start
standpipe_start
ok "events flow" wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 200 ]' 30

# the workers stand still in the middle of their transactions, which then come to nothing
psql -XAtqc "begin; lock table bsky.likes in exclusive mode; select pg_sleep(600)" >/dev/null 2>&1 &
ok "workers wait in their transactions" \
	wait_until "[ \"\$(sql \"select count(*) from $workers_in_postgres and wait_event_type = 'Lock'\")\" = 2 ]" 30
kill -STOP $(pids_of worker)
sql "select pg_terminate_backend(pid) from $workers_in_postgres" >/dev/null
ok "their transactions come to nothing" wait_until "[ \"\$(sql \"select count(*) from $workers_in_postgres\")\" = 0 ]" 30
sql "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
	and query like '%pg_sleep(600)' and pid <> pg_backend_pid()" >/dev/null
mapfile -t ids < <(redis xpending "$stream" "$group" - + 1000 | grep -a -x '1-[0-9]*')
ok "they hold entries" test ${#ids[@]} -gt 0
before=$(redis xrevrange "$stream" "(${ids[0]}" - count 1 | grep -a -m 1 -x '1-[0-9]*')
runs=$(runs_of "${ids[@]}")
is "a foreigner acknowledges all of them" "$(redis xack "$stream" "$group" "${ids[@]}")" ${#ids[@]}
kill -KILL $(pids_of worker)
ok "everything else is committed" wait_committed "$last" 60
is "they, and nothing else, are a gap" "$(gaps)" "$runs"
standpipe_stop
ok "what is missing can be read again" standpipe rewind "${before#1-}"
relay_stop
relay_start serve "$T/generated.frames" --listen "${relay_url#ws://}"
standpipe_run
ok "and then is there" wait_until '[ "$(sql "select epoch from standpipe.watermark")" = 2 ] && committed "$last"' 60
ok "0 differences" "$compare" "$T/generated"
is "which is no further gap" "$(gaps)" "$runs"
ok "fsck knows of it" standpipe fsck
plan
