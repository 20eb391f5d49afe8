#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Settings of Redis and PostgreSQL that would break the promise are refused at start (exit 78), with the exact line
# that mends them; after that very line it starts.
. "$(dirname "$0")/../lib.sh"

# What stands between backquotes in the log's last refusal.
fix() {
	sed -n '/dependency.refused/s/[^`]*`\([^`]*\)`.*/\1/p' "$T/standpipe.log" | tail -n 1
}

# refuses SETTING MENDED-BY: of the server that was just spoiled.
refuses() {
	: >"$T/standpipe.log"
	standpipe_run
	ok "$1: refused" wait_until '! kill -0 "$standpipe_pid"' 40
	standpipe_stop
	is "$1: exit 78" "$standpipe_status" 78
	is "$1: the line that mends it" "$(fix)" "$2"
}

# Starts as it should, if the line was right.
starts() {
	: >"$T/standpipe.log"
	standpipe_run
	ok "$1: after that it starts" wait_until 'grep -q "supervisor.healthy" "$T/standpipe.log"' 40
	standpipe_stop
}

# spoil_redis SETTING VALUE LINE
spoil_redis() {
	redis config set "$1" "$2" >/dev/null
	refuses "Redis with $1 $2" "$3"
	redis $(fix) >/dev/null
}

# is_now SETTING VALUE: of PostgreSQL, which takes a moment to take it.
is_now() {
	wait_until "[ \"\$(sql 'show $1')\" = $2 ]" 20 || bail "$1 does not become $2"
}

# spoil_postgres SETTING: that must be on.
spoil_postgres() {
	sql "alter system set $1 = off" && sql 'select pg_reload_conf()' >/dev/null || bail "no setting"
	is_now "$1" off
	refuses "PostgreSQL with $1 off" "ALTER SYSTEM SET $1 = on; SELECT pg_reload_conf()"
	fix | tr ';' '\n' | while read -r statement; do sql "$statement" >/dev/null; done
	is_now "$1" on
}

"$relay" generate --out "$T/generated" --frames 50 >"$T/generate.log" 2>&1 || bail "generate failed"
relay_start serve "$T/generated.frames"
redis_start
pg_start own
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"

spoil_redis maxmemory-policy allkeys-lru 'CONFIG SET maxmemory-policy noeviction'
spoil_redis maxmemory 0 'CONFIG SET maxmemory 2gb'
spoil_redis appendonly no 'CONFIG SET appendonly yes'
spoil_redis appendfsync no 'CONFIG SET appendfsync everysec'
redis replicaof 127.0.0.1 1 >/dev/null
refuses "a replica" 'REPLICAOF NO ONE'
redis $(fix) >/dev/null
starts Redis
spoil_postgres fsync
spoil_postgres full_page_writes
starts PostgreSQL
skip "Redis older than 7.0: there is none here"
plan
