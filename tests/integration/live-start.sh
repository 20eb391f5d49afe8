#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# start = "live": where that is becomes durable before anything is read. If Redis and the reader are lost while no
# watermark is written yet, reading begins there again, not where the source is by then; nor if Redis forgets what the
# keeper was asked for.
. "$(dirname "$0")/../lib.sh"

start_of_newest() {
	sql "select start from standpipe.epochs order by epoch desc limit 1"
}

reader_lost() {
	kill -KILL $(pids_of reader)
	redis flushall >/dev/null
}

"$relay" generate --out "$T/generated" --frames 6000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
# live: a new relay, which says nothing before it is let go, a new database and an empty Redis.
live() {
	relay_start serve "$T/generated.frames" --past 1000 --rate 1000
	kill -STOP "$relay_pid"
	pg_start
	redis flushall >/dev/null
	standpipe_conf
	sed -i 's/start = "oldest"/start = "live"/' "$T/standpipe.conf"
	standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
	: >"$T/standpipe.log"
	standpipe_run
	wait_until '[ -n "$(pids_of worker)" ] && [ -n "$(pids_of reader)" ]' 30 || bail "no workers"
}

redis_start
live
kill -STOP $(pids_of worker)	# nothing is acknowledged: the watermark stays where nothing is
kill -CONT "$relay_pid"
ok "frames are in the stream" \
	wait_until '[ "$(redis hget "$stream:meta" next_ordinal)" -ge 1000 ]' 60
first=$(redis xrange "$stream" - + count 1 | grep -a -m 1 -o '^[0-9]*-[0-9]*$')
begin=$(start_of_newest)
ok "the epoch's start is a seq: $begin" grep -qx '[0-9][0-9]*' <<<"$begin"
ok "no earlier than what is live: $begin" test "$begin" -gt 1000 -a "$begin" -le "${first#*-}"
reader_lost
is "no watermark was written" "$(sql 'select epoch, seq from standpipe.watermark')" "0|0"
kill -CONT $(pids_of worker)
ok "everything up to the last frame is committed" wait_committed "$last" 60
is "from the first one on, each once" "$(sql 'select events, lost from standpipe.watermark')" "$((last - begin + 1))|0"
none "an epoch that was asked for is no lost position" "$(grep reader.position_lost "$T/standpipe.log")"
is "and there is no gap" "$(sql 'select count(*) from standpipe.gaps')" 0
ok "fsck finds nothing wrong" standpipe fsck

standpipe_stop
relay_stop
live
wait_until '[ "$(redis hget "$stream:meta" epoch)" = 1 ]' 30 || bail "no epoch"
kill -STOP $(pids_of keeper)
kill -CONT "$relay_pid"
ok "the keeper is asked for an epoch" wait_until '[ -n "$(redis hget "$stream:meta" want_start)" ]' 30
begin=$(redis hget "$stream:meta" want_start)
redis flushall >/dev/null
ok "Redis forgets that, and the reader sees it" wait_until 'grep -q "reader.redis_unfit.*unprepared" "$T/standpipe.log"' 30
kill -CONT $(pids_of keeper)
ok "everything up to the last frame is committed" wait_committed "$last" 90
is "from the same frame on" "$(start_of_newest)" "$begin"
is "each once" "$(sql 'select events, lost from standpipe.watermark')" "$((last - begin + 1))|0"
plan
