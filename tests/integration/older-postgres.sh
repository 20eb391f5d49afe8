#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The files of an older PostgreSQL come back, and Redis has trimmed what that one has not stored: the source is read again
# from where it was, and nothing was lost, nor said to be.
. "$(dirname "$0")/../lib.sh"

first_entry() {
	redis xrange "$stream" - + count 1 | grep -a -m 1 -x '[0-9]*-[0-9]*'
}

"$relay" generate --out "$T/generated" --frames 8000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
pg_start own
redis_start
relay_start serve "$T/generated.frames" --past 2000
set_redis='replay_events = 1000;'
standpipe_start
ok "a part is stored" wait_committed 2000 60
standpipe_stop
pg_down "$pg_own" fast || bail "PostgreSQL does not stop"
cp -a "$pg_own" "$T/pg.old"
pg_resume
relay_stop
relay_start serve "$T/generated.frames" --listen "${relay_url#ws://}"
standpipe_run
ok "all of it is stored" wait_committed "$last" 60
ok "and trimmed from Redis beyond that part" wait_until '[ "$(first_entry | cut -d - -f 2)" -gt 3000 ]' 30
standpipe_stop
pg_down "$pg_own" fast || bail "PostgreSQL does not stop"
rm -rf "$pg_own"
mv "$T/pg.old" "$pg_own"
pg_resume
standpipe_run
ok "with the older PostgreSQL it is read again" \
	wait_until '[ "$(sql "select epoch from standpipe.watermark")" = 2 ] && committed "$last"' 60
ok "0 differences" "$compare" "$T/generated"
is "no gap" "$(sql 'select * from standpipe.gaps')" ''
ok "nothing is said to be lost" standpipe fsck
plan
