#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 240
# A relay that does every kind of wrong in turn, in its answers, its framing and its frames: the records are those of
# a relay that does none, nothing crashes, memory stays bounded, and every refused frame is accounted for.
# relay-storm.sh [--seed N] [--minutes M]: another storm; so long a one instead of 52000 frames at once.
. "$(dirname "$0")/../lib.sh"

seed=1 minutes='' n_frames=52000 every=2200 rate=(--rate max)
while [ $# -gt 0 ]; do
	case $1 in
	--seed) seed=$2 ;;
	--minutes) minutes=$2 ;;
	*) bail "usage: relay-storm.sh [--seed N] [--minutes M]" ;;
	esac
	shift 2
done
[ -z "$minutes" ] || { n_frames=$((minutes * 60 * 400)); every=1000 rate=(--rate 400); }

logged() {
	grep -cE -- "$1" "$T/standpipe.log"
}

# High-water mark in kB of the memory of the processes of a role.
most_memory() {
	local pid

	for pid in $(pids_of "$1"); do
		awk '/^VmHWM/ { print $2 }' "/proc/$pid/status"
	done | sort -n | tail -n 1
}

# never_done PATTERN...: what of the relay's last line was not done.
never_done() {
	grep '^storm ' "$T/relay.out" | tr ' ' '\n' | grep -E "$1" | grep '=0$'
}

"$relay" generate --out "$T/generated" --frames "$n_frames" --seed "$seed" --odd=2 --gaps 3 --unsigned \
	>"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
redis_start
relay_start serve "$T/generated.frames" "${rate[@]}" --storm "$seed" "$every" --bad-frame 5000 --bad-frame 6000
set_source='idle_timeout = 1.0;'
standpipe_start
ok "seed $seed: everything is committed" wait_committed "$(last_seq "$T/generated.frames")" $((${minutes:-0} * 75 + 200))
reader_kb=$(most_memory reader) worker_kb=$(most_memory worker)
frames_bad=$(standpipe status --json | grep -o '"frames_bad": *[0-9]*' | head -n 1 | tr -dc 0-9)
relay_stop
grep '^storm ' "$T/relay.out" | fold -sw 100 | diag
echo "# connections $(logged source.connected), frames refused $frames_bad, reader $reader_kb kB, worker $worker_kb kB"

none "each kind of fault in the stream was done" "$(never_done '^[^a]|^again')"
ok "0 differences" "$compare" "$T/generated"
is "no gaps" "$(sql 'select count(*) from standpipe.gaps')" 0
is "no process died" "$(logged 'child[.](died|exited|stuck|killed|broken)')" 0
is "each refused frame is one line of the log" "$(logged 'source[.]bad_frame')" "$frames_bad"
is "each that was set aside is a dead letter, and there are no others" \
	"$(sql "select count(*) filter (where class = 'bad'), count(*) from standpipe.dead_letters")" \
	"$(logged 'source[.]bad_frame.*action=dead_letter')|$(logged 'source[.]bad_frame.*action=dead_letter')"
ok "what stands at the same place each time is set aside" test "$(logged 'action=dead_letter')" -ge 2
ok "the reader's memory is bounded" test "$reader_kb" -lt 120000
ok "and a worker's" test "$worker_kb" -lt 400000
plan
