#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Errors of PostgreSQL while it is written to, one class after the other: only errors of the data make dead
# letters; everything else is tried again for as long as it takes, and nothing is lost.
. "$(dirname "$0")/../lib.sh"
# deadlock, lock, time-out, shutdown, full disk, read-only, privileges, schema, system, internal; a missing parent
# that was there before. (What each state counts as: test-pg.)
states=(40P01 55P03 57014 57P01 53100 25006 42501 42P01 58030 XX000 23503)

redis_start
"$relay" generate --out "$T/generated" --frames 8000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 400
pg_start
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
# a sequence, because its steps are not undone with the transaction that fails
sql "create sequence public.passes;
	create table public.errors (state text, times bigint);
	insert into public.errors values ('00000', 0);
	create function public.fail() returns trigger language plpgsql as \$\$
	declare e record; begin
		select * into e from public.errors;
		if nextval('public.passes') <= e.times then
			raise exception 'made by the test' using errcode = e.state;
		end if;
		return null;
	end \$\$;
	create trigger fail before insert on bsky.likes for each statement execute function public.fail()" || bail "no trigger"
standpipe_run
ok "events flow" wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 0 ]' 30
for state in "${states[@]}"; do
	sql "update public.errors set state = '$state', times = 2; alter sequence public.passes restart" || bail "no error"
	ok "$state twice, then it goes on" wait_until '[ "$(sql "select last_value from public.passes")" -gt 3 ]' 40
done
sql "update public.errors set times = 0" || bail "errors do not end"
ok "every frame is committed and acknowledged" wait_committed "$last" 90
is "no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
is "no worker ended over it" "$(grep -c 'child.started.*worker' "$T/standpipe.log")" 2
ok "0 differences" "$compare" "$T/generated"
plan
