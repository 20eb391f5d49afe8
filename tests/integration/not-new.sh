#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Records that were created are inserted as if none were there. Where one is, nothing is lost or told twice, nothing
# is split or given up, and what failed once is not tried over and over.
. "$(dirname "$0")/../lib.sh"

frames=6000
pg_start own
redis_start
"$relay" generate --out "$T/generated" --frames "$frames" >"$T/generate.log" 2>&1 || bail "generate failed"
relay_start serve "$T/generated.frames"
set_workers='count = 1; batch_events = 50; batch_events_max = 50;'
standpipe_start
ok "every frame is committed" wait_committed "$frames" 60
is "in order all are new: PostgreSQL reported no error" "$(grep -E '(ERROR|FATAL|PANIC):' "$T/postgres.log")" ""
standpipe_stop
first=$(sql "select md5(string_agg(r::text, chr(10) order by uri collate \"C\")) from bsky.records r")

ok "the same again" standpipe rewind oldest
standpipe_run
ok "every frame is committed again" wait_until '[ "$(sql "select epoch, seq from standpipe.watermark")" = "2|$frames" ]' 60
is "no record has changed" "$(sql "select md5(string_agg(r::text, chr(10) order by uri collate \"C\")) from bsky.records r")" "$first"
ok "0 differences" "$compare" "$T/generated"
errors=$(grep -c 'duplicate key value violates unique constraint' "$T/postgres.log")
ok "$errors of $((frames / 50)) batches were tried as if all were new: at least one, at most ten" \
	test "$errors" -ge 1 -a "$errors" -le 10
is "there was no other error" \
	"$(grep -E '(ERROR|FATAL|PANIC):' "$T/postgres.log" | grep -v 'duplicate key value violates unique constraint')" ""
is "no batch was split" "$(standpipe status --json | grep -o '"bisections": *[0-9]*' | tr -dc 0-9)" 0
is "no dead letter" "$(sql 'select count(*) from standpipe.dead_letters')" 0
ok "the ledger balances" standpipe fsck
plan
