#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A worker and the reader are killed with SIGKILL again and again while the firehose flows: nothing is
# lost, nothing is doubled.
. "$(dirname "$0")/../lib.sh"
wanted=30 # kills of each role

# Kills one child of the role every 200 to 500 ms until $T/enough is there; one line per kill.
killer() {
	local pids

	until [ -e "$T/enough" ]; do
		mapfile -t pids < <(pids_of "$1")
		[ ${#pids[@]} -eq 0 ] ||
			! kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || echo "${pids[*]}"
		sleep "0.$((RANDOM % 300 + 200))"
	done >"$T/kills.$1"
}

kills() {
	wc -l <"$T/kills.$1"
}

killed_enough() {
	[ "$(kills worker)" -ge "$wanted" ] && [ "$(kills reader)" -ge "$wanted" ]
}

"$relay" generate --out "$T/generated" --frames 20000 --late 10 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
redis_start
relay_start serve "$T/generated.frames" --rate 250
standpipe_start
last=$(last_seq "$T/generated.frames")
wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 0 ]' 30 || bail "nothing arrives"
killer worker & killers=("$!")
killer reader & killers+=("$!")
servers+=("${killers[@]}")
wait_until 'killed_enough' 150
is "the firehose was not over before the kills were" "$(committed "$last" && echo over)" ""
: >"$T/enough"
wait "${killers[@]}"
relay_stop # the rest need not come as slowly
relay_start serve "$T/generated.frames" --listen "$(sed -E "s,ws://([^/]*).*,\1," <<<"$relay_url")"
ok "at least $wanted workers were killed" test "$(kills worker)" -ge "$wanted"
ok "at least $wanted readers were killed" test "$(kills reader)" -ge "$wanted"
echo "# killed $(kills worker) workers and $(kills reader) readers"
ok "every frame is committed and acknowledged" wait_committed "$last" 60
ok "0 differences" "$compare" "$T/generated"
ok "the ledger adds up" standpipe fsck
is "no dead letters" "$(sql 'select count(*) from standpipe.dead_letters')" 0
is "no gaps" "$(sql 'select count(*) from standpipe.gaps')" 0
plan
