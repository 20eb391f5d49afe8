#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Entries delivered to consumers that nobody runs are claimed and worked on by live workers; a group that was
# destroyed is made again where nothing is lost.
. "$(dirname "$0")/../lib.sh"

# Delivers some entries to a consumer of that name, which will never acknowledge them; sets stolen.
steal() {
	stolen=$(redis xreadgroup group "$group" "$1" count 5 streams "$stream" '>' | grep -a -c -x '1-[0-9]*')
}

pending_of() {
	redis xpending "$stream" "$group" - + 10 "$1" | grep -a -c -x "$1"
}

redis_start
"$relay" generate --out "$T/generated" --frames 4000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 400
pg_start
set_workers='claim_interval = 1.0;'
standpipe_start
ok "events flow" wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 200 ]' 30

# while the workers stand still, the entries go to others
kill -STOP $(pids_of worker)
for name in standpipe-w7 somebody-else; do
	ok "$name has taken entries" wait_until "steal $name; [ \"\$stolen\" -gt 0 ]" 20
done
kill -CONT $(pids_of worker)
ok "a slot that no longer exists: its entries are claimed within a few intervals" \
	wait_until '[ "$(pending_of standpipe-w7)" = 0 ]' 15
ok "a consumer of another name: its entries are claimed once they have been idle" \
	wait_until '[ "$(pending_of somebody-else)" = 0 ]' 40
ok "the log tells of both" \
	eval 'grep -q "worker.claimed.*from=standpipe-w7" "$T/standpipe.log" && grep -q "worker.claimed.*from=somebody-else" "$T/standpipe.log"'

redis xgroup destroy "$stream" "$group" >/dev/null
ok "a destroyed group: every frame is committed all the same" wait_committed "$last" 60
ok "0 differences" "$compare" "$T/generated"
is "no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
is "no gaps" "$(sql 'select count(*) from standpipe.gaps')" 0
plan
