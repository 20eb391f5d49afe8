#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Redis or PostgreSQL is not there at start: standpipe says which, with the address, and works as soon as
# it comes up; with --require it exits 69.
. "$(dirname "$0")/../lib.sh"

# says ADDRESS: the log names it.
says() {
	wait_until "grep -qF -- '$1' '$T/standpipe.log'" 30
}

alive() {
	kill -0 "$standpipe_pid"
}

"$relay" generate --out "$T/generated" --frames 500 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames"

pg_start own
standpipe_start
ok "without Redis: its address is in the log" says "$T/redis.sock"
ok "without Redis: keeps trying" alive
redis_start
ok "Redis comes up: every frame is committed" wait_committed "$last" 60
redis config set maxmemory-policy allkeys-lru >/dev/null
ok "a setting of Redis that is spoilt meanwhile is noticed, with the way out" \
	wait_until 'standpipe status | grep -q "keeper-0 waits: .*CONFIG SET maxmemory-policy noeviction"' 30
redis config set maxmemory-policy noeviction >/dev/null
ok "and mended too" wait_until 'standpipe status | grep -q "^standpipe healthy"' 20
standpipe_stop

pg_start own
redis flushall >/dev/null
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
pg_pause
: >"$T/standpipe.log"
standpipe_run
ok "without PostgreSQL: its address is in the log" says "$PGHOST"
ok "without PostgreSQL: it asks whether it is running" says ': No such file or directory: is it running there, and is postgres.conninfo right?'
ok "without PostgreSQL: keeps trying" alive
pg_resume
ok "PostgreSQL comes up: every frame is committed" wait_committed "$last" 60
ok "0 differences" "$compare" "$T/generated"
standpipe_stop

pg_pause
is "--require without PostgreSQL exits 69" "$(timeout 60 "$standpipe" run -c "$T/standpipe.conf" --require >"$T/require.log" 2>&1; echo $?)" 69
ok "and says where it looked" grep -qF "$PGHOST" "$T/require.log"
pg_resume
redis shutdown nosave
is "--require without Redis exits 69" "$(timeout 60 "$standpipe" run -c "$T/standpipe.conf" --require >"$T/require.log" 2>&1; echo $?)" 69
ok "and says where it looked, for Redis" grep -qF "$T/redis.sock" "$T/require.log"
plan
