#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# status and top: latency per stage, why it is behind, what waits for what, how children ended; colours and
# live drawing on a terminal only.
. "$(dirname "$0")/../lib.sh"

screen() {
	standpipe status >"$T/screen" 2>&1
}

# line PATTERN: the screen taken last has it.
line() {
	grep -qE -- "$1" "$T/screen"
}

# says PATTERN SECONDS: status says it before long.
says() {
	wait_until "screen; line '$1'" "$2" || { diag <"$T/screen"; return 1; }
}

# json EXPRESSION: of status --json, as perl sees it in $s.
json() {
	standpipe status --json >"$T/status.json"
	perl -MJSON::PP -e '
		local $/;
		open my $f, "<", $ARGV[0] or die;
		$s = decode_json <$f>;
		$v = eval $ARGV[1];
		print defined $v ? $v : "undef"' "$T/status.json" "$1"
}

# on_terminal COMMAND: its output as on a terminal of 30 lines and 70 columns; stdin is ours.
on_terminal() {
	script -qec "stty rows 30 cols 70; $1" /dev/null
}

redis_start
"$relay" generate --out "$T/generated" --frames 60000 >"$T/generate.log" 2>&1 || bail "generate failed"
relay_start serve "$T/generated.frames" --rate 600
pg_start
set_queue='check_interval = 0.3;'
standpipe_start

# ---- figures ----

stage='[0-9.]+ (ms|s) +[0-9.]+ (ms|s) +[0-9.]+ d$'
ok "reader to Redis: rate, p50, p99, age of the newest" says "^reader > Redis +[1-9][0-9]* +$stage" 60
ok "Redis to commit too" says "^Redis > commit +[1-9][0-9]* +$stage" 30
ok "the recording is from another day: its age is known to be more than the histogram goes" \
	line '^source > commit +> 24 h +> 24 h'
ok "and that is why it is behind" line 'behind: the source.s events are [0-9.]+ d old when they arrive, [0-9]+/s$'
is "p50 is not above p99" "$(json '$s->{stages}{commit}{p50_seconds} <= $s->{stages}{commit}{p99_seconds}')" 1
ok "commits are counted" test "$(json '$s->{stages}{commit}{events}')" -gt 0
is "nothing is said of an alarm" "$(json 'join ",", grep { $_ ne "normal" } values %{$s->{alarms}}')" ""
ok "what waits, and for what" says '^ +[0-9]+ waits? for at://did:plc:' 30
ok "memory of Redis and its limit" line 'memory [0-9.]+ of 1074 MB, fragmentation [0-9.]+$'

# ---- behind ----

kill -STOP $(pids_of worker)
ok "workers that stand still: it says what arrives and what is taken" \
	says 'behind: PostgreSQL takes 0 events/s of the [0-9]+/s that arrive; the stream is full in [0-9.]+ (s|min|h)$' 60
ok "with the forecast in its line" line '^redis .*; full in [0-9.]+ (s|min|h)$'
ok "and the seconds at risk" line '^ +[0-9.]+ (s|min) of events at risk;'
kill -CONT $(pids_of worker)
ok "then it does not grow any more" says '^redis .*; not growing$' 60

victim=$(pids_of worker | head -n 1)
kill -SEGV "$victim"
ok "a child that crashed: restarts and how it ended" says '^worker-[01] +[a-z]+ +[a-z]+ +[0-9]+ +1 .*signal=SIGSEGV$' 30
is "also in JSON" "$(json 'join ",", map { $_->{last_exit} } grep { $_->{restarts} } @{$s->{children}}')" signal=SIGSEGV

# ---- colours, terminal ----

esc=$'\033'
none "no colours into a file" "$(screen; grep -F "$esc" "$T/screen")"
export TERM=xterm
on_terminal "'$standpipe' status -c '$T/standpipe.conf'" </dev/null >"$T/screen"
ok "colours on a terminal" grep -qF "${esc}[32mhealthy${esc}[0m" "$T/screen"
NO_COLOR=1 on_terminal "'$standpipe' status -c '$T/standpipe.conf'" </dev/null >"$T/screen"
none "none with NO_COLOR" "$(grep -F "${esc}[" "$T/screen")"
TERM=dumb on_terminal "'$standpipe' top -c '$T/standpipe.conf'" </dev/null >"$T/screen"
ok "top on a dumb terminal: one screen" line '^standpipe (healthy|DEGRADED)'
none "without escapes" "$(grep -F "${esc}[" "$T/screen")"
standpipe top </dev/null >"$T/screen"
ok "top into a file: one screen" test "$(grep -c '^standpipe ' "$T/screen")" = 1

mkfifo "$T/keys"
on_terminal "'$standpipe' top -c '$T/standpipe.conf'" <"$T/keys" >"$T/screen" &
drawing=$!
exec 8>"$T/keys"
ok "top draws again and again" wait_until '[ "$(grep -cF "${esc}[H" "$T/screen")" -ge 1 ] && [ "$(grep -oF "${esc}[H" "$T/screen" | wc -l)" -ge 3 ]' 30
printf q >&8
wait "$drawing"
is "q ends it with 0" "$?" 0
exec 8>&-
ok "it drew on the second screen" grep -qF "${esc}[?1049h${esc}[?25l" "$T/screen"
ok "and gives the terminal back as it was" grep -qF "${esc}[?25h${esc}[?1049l" "$T/screen"
none "no line is wider than the terminal" "$(sed -e "s/${esc}\[H/\n/g" -e "s/${esc}\[[0-9;?]*[A-Za-z]//g" -e 's/\r//g' "$T/screen" | grep -E '.{71}')"

on_terminal "'$standpipe' top -c '$T/standpipe.conf'" <"$T/keys" >"$T/screen" &
drawing=$!
exec 8>"$T/keys"
wait_until 'grep -qF "${esc}[H" "$T/screen"' 30
standpipe_stop
ok "top ends when the instance does" wait_until '! kill -0 "$drawing"' 20
exec 8>&-
wait "$drawing"
is "with 69" "$?" 69
ok "the terminal is given back then too" grep -qF "${esc}[?25h${esc}[?1049l" "$T/screen"
is "without an instance: 69" "$(standpipe top >/dev/null 2>&1; echo $?)" 69
plan
