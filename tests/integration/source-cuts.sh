#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A source that ends each connection a byte later within a frame, and one that gives a byte a second: nothing is lost,
# doubled or set aside, and slowness alone ends no connection.
. "$(dirname "$0")/../lib.sh"
n_cuts=12 calm=1100	# frames of a connection after which it is not held to be a failed one

logged() {
	grep -c -- "$1" "$T/standpipe.log"
}

"$relay" generate --unsigned --odd=2 --gaps 3 --frames $((n_cuts * calm)) --out "$T/generated" >"$T/generate.log" 2>&1 ||
	bail "generate failed"
pg_start
redis_start
relay_start serve "$T/generated.frames" --cut-within $calm
standpipe_start
ok "cut within a frame, a byte later each time: everything is stored" wait_committed "$(last_seq "$T/generated.frames")" 60
is "connections were cut" "$(($(logged source.disconnected) >= n_cuts - 1))" 1
is "each was lost, and no frame was malformed" "$(logged 'source.disconnected.* why=lost') $(logged source.bad_frame)" \
	"$(logged source.disconnected) 0"
ok "0 differences" "$compare" "$T/generated"
is "no gap, no dead letter" "$(sql 'select count(*) from standpipe.gaps union all
	select count(*) from standpipe.dead_letters')" $'0\n0'
standpipe_stop
relay_stop

redis flushall >/dev/null
pg_start
: >"$T/standpipe.log"
"$relay" generate --unsigned --frames 200 --out "$T/generated" >"$T/generate.log" 2>&1 || bail "generate failed"
address=127.0.0.1:$(free_port)
relay_start serve "$T/generated.frames" --listen "$address" --drip 1
export set_source='idle_timeout = 1.6;'
standpipe_start
ok "a byte a second: connected" wait_until '[ "$(logged source.connected)" = 1 ]' 20
connected_at=$SECONDS
ok "three idle timeouts later it still is" \
	wait_until '[ "$(logged source.disconnected)" != 0 ] || [ $((SECONDS - connected_at)) -ge 5 ]' 20
is "and was all the time" "$(logged source.connected) $(logged source.disconnected)" "1 0"
is "no part of a frame is stored" "$(redis xlen "$stream")" 0
relay_stop
relay_start serve "$T/generated.frames" --listen "$address" --drip 100000
ok "faster: everything is stored" wait_committed "$(last_seq "$T/generated.frames")" 40
ok "0 differences" "$compare" "$T/generated"
plan
