#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A row that PostgreSQL refuses for its data: the batch is split down to its event, which alone becomes a dead
# letter with its bytes; everything else is stored, nothing stays unacknowledged.
. "$(dirname "$0")/../lib.sh"

redis_start
"$relay" generate --out "$T/generated" --frames 2000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames"
pg_start
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"

# the third post of the recording, and what would have been stored of it
victim=$(grep -m 3 '"collection":"app.bsky.feed.post"' "$T/generated.records.jsonl" | tail -n 1)
did=$(sed 's/.*"did":"\([^"]*\)".*/\1/' <<<"$victim")
rkey=$(sed 's/.*"rkey":"\([^"]*\)".*/\1/' <<<"$victim")
sql "create function public.refuse() returns trigger language plpgsql as \$\$ begin
	raise exception 'refused on purpose' using errcode = '22023'; end \$\$;
	create trigger refuse before insert on bsky.posts for each row
	when (new.rkey = bsky.rkey_id('$rkey') and new.actor = bsky.actor_id('$did') and new.cid <> '')
	execute function public.refuse()" || bail "no trigger"
standpipe_run

ok "every frame is committed and acknowledged" wait_committed "$last" 60
is "one dead letter, of the whole event, with the SQLSTATE" \
	"$(sql "select class, op, sqlstate, did from standpipe.dead_letters")" "data|-1|22023|$did"
is "it says why" "$(sql "select reason like '%refused on purpose%' from standpipe.dead_letters")" t
is "it has the event's bytes" "$(sql "select length(bytes) > 100 from standpipe.dead_letters")" t
is "the post is not stored" \
	"$(sql "select count(*) from bsky.record('at://$did/app.bsky.feed.post/$rkey')")" 0
is "its key, made before, is a missing parent" \
	"$(sql "select count(*) from standpipe.pending where rkey = bsky.rkey_id('$rkey') and actor = bsky.actor_id('$did')")" 1
"$compare" "$T/generated" >"$T/compare.out" 2>&1
ok "nothing else is missing or differs" grep -qE ": 1 differences?$|: 1 difference\b" "$T/compare.out"
standpipe fsck >"$T/fsck.out" 2>&1
status=$?
ok "the ledger adds up, though the event was found by halving its batch" grep -q "^ok      ledger_rows " "$T/fsck.out"
is "and fsck has nothing to say" $status 0
ok "the log says it once" test "$(grep -c 'worker.dead_lettered' "$T/standpipe.log")" = 1
plan
