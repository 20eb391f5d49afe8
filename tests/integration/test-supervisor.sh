#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The supervisor over children that do what the test asks for (supervisor_stand_in.c), without Redis and
# PostgreSQL; then the program itself, whose children wait for both.
. "$(dirname "$0")/../lib.sh"

real=$standpipe
stand_in=$build/tests/supervisor-stand-in
log=$T/standpipe.log
export STAND_IN=$T/wishes
mkdir -p "$STAND_IN" "$T/run"

# conf SETTINGS: the configuration of the instance under test.
conf() {
	echo "$1 http: { listen = \"\"; }; runtime: { dir = \"$T/run\"; drain_timeout = ${drain_timeout-10.0}; ${set_runtime-} };" >"$T/new.conf"
	mv "$T/new.conf" "$T/standpipe.conf"
}

# logged TEXT: a line has it (since the last `forget`).
logged() {
	tail -c +"$((seen + 1))" "$log" | grep -qF -- "$1"
}

n_logged() {
	tail -c +"$((seen + 1))" "$log" | grep -cF -- "$1"
}

forget() {
	seen=$(wc -c <"$log")
}

hup() {
	kill -HUP "$standpipe_pid"
}

# start [ARGUMENTS]: the stand-in, until it is healthy.
start() {
	standpipe=$stand_in
	: >>"$log"
	forget
	standpipe_run "$@"
	wait_until 'logged supervisor.healthy' 20 || bail "the supervisor does not come up"
}

# stop SIGNAL: waits for the end; sets standpipe_status.
stop() {
	kill "-$1" "$standpipe_pid"
	wait_until '! kill -0 "$standpipe_pid"' 40 || kill -KILL "$standpipe_pid"
	wait "$standpipe_pid" 2>/dev/null
	standpipe_status=$?
	standpipe_pid=
}

n_of() {
	pids_of "$1" | wc -l
}

# Pids of everything the supervisor started, sorted.
children() {
	{ pids_of reader; pids_of worker; pids_of keeper; } | sort -n
}

# gone PIDS: none of them is a running process.
gone() {
	local pid

	for pid in $1; do
		[ ! -e "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
	done
}

status() {
	"$real" status -c "$T/standpipe.conf" "$@"
}

exit_of() {
	"$@" >"$T/out" 2>&1 </dev/null
	echo $?
}

# ---- configuration ----

printf 'workers: {\n  count = 99;\n}\nredis: { max_bytes = 3000000000; }\n' >"$T/bad.conf"
for command in check run config status; do
	is "$command with a bad file exits 78" "$(exit_of "$real" "$command" -c "$T/bad.conf")" 78
	ok "$command names file, line, key and range" grep -qF "$T/bad.conf:2: workers.count: 99 is out of range; accepted: 1..64" "$T/out"
	ok "$command names the second problem too" grep -qF "$T/bad.conf:4: redis.max_bytes: 3000000000 does not fit 32 bits" "$T/out"
done
is "a missing file exits 78" "$(exit_of "$real" check -c "$T/none.conf")" 78
conf 'redis: { url = "redis://:hunter2@h"; };'
is "a good file exits 0" "$(exit_of "$real" check -c "$T/standpipe.conf")" 0
"$real" config -c "$T/standpipe.conf" >"$T/printed.conf"
is "what config prints is a good file" "$(exit_of "$real" check -c "$T/printed.conf")" 0
none "and holds no password" "$(grep hunter2 "$T/printed.conf")"
is "\$STANDPIPE_CONFIG names the file" "$(STANDPIPE_CONFIG=$T/bad.conf exit_of "$real" check)" 78

# ---- watchdog: half a minute of patience, while the rest of this is tested ----

mkdir "$T/watched" "$T/watched/run"
echo silent >"$T/watched/worker-0"
echo deaf >"$T/watched/worker-1"
echo "workers: { count = 3; }; http: { listen = \"\"; }; runtime: { dir = \"$T/watched/run\"; };" >"$T/watched/conf"
STAND_IN=$T/watched "$stand_in" -c "$T/watched/conf" >"$T/watched.log" 2>&1 &
watched=$!
servers+=("$watched")
wait_until '[ "$(grep -c stand_in.obeying "$T/watched.log")" = 2 ]' 10 || bail "they do not obey"
rm "$T/watched/worker-0" "$T/watched/worker-1"

# ---- usage ----

is "an unknown command exits 64" "$(exit_of "$real" nonsense)" 64
is "an unknown option exits 64" "$(exit_of "$real" run --nonsense)" 64
is "a child's role by hand exits 64" "$(exit_of "$real" --role nonsense --slot 0)" 64
is "a child without supervisor exits 70" "$(exit_of "$real" --role keeper --slot 0)" 70
is "--help exits 0" "$(exit_of "$real" --help)" 0
ok "and lists the commands" grep -q '^  migrate ' "$T/out"
is "COMMAND --help exits 0" "$(exit_of "$real" status --help)" 0
is "--version exits 0" "$(exit_of "$real" --version)" 0
ok "and names the libraries" grep -q 'libevent 2' "$T/out"

# ---- one instance ----

conf 'workers: { count = 2; };'
is "status of nobody exits 69" "$(exit_of status)" 69
ok "and says so" grep -qx 'not running' "$T/out"
start
is "a second instance exits 75" "$(exit_of "$stand_in" -c "$T/standpipe.conf")" 75
ok "naming the pid" grep -qF "pid $standpipe_pid" "$T/out"
ok "and the directory" grep -qF "$T/run" "$T/out"
is "two workers, one reader, one keeper" "$(n_of worker) $(n_of reader) $(n_of keeper)" "2 1 1"
is "status exits 0" "$(exit_of status)" 0
ok "and shows every child" test "$(grep -cE '^(reader|worker|keeper)-[0-9]+ +ready +idle ' "$T/out")" = 4
status --json >"$T/status.json"
is "status --json is JSON" "$(perl -MJSON::PP -0ne '$s = decode_json $_; print "$s->{state} ", scalar @{$s->{children}}' "$T/status.json")" "healthy 4"
is "the socket is ours alone" "$(stat -c %a "$T/run/standpipe.sock")" 600
forget
kill -USR2 "$standpipe_pid"
ok "SIGUSR2 writes the state of every child" wait_until '[ "$(n_logged state.child)" = 4 ]' 10

# ---- reload ----

before=$(children)
forget
conf 'workers: { count = 99; };'
hup
ok "SIGHUP with a bad file names line and range" wait_until 'logged "standpipe.conf:1: workers.count: 99 is out of range; accepted: 1..64"' 10
ok "and says that the old one stays" wait_until 'logged config.kept' 10
is "and touches no child" "$(children)" "$before"

forget
set_runtime='name = "other";' conf 'workers: { count = 4; };'
hup
ok "SIGHUP with a fixed key names it" wait_until 'logged "runtime.name: \"standpipe\" -> \"other\""' 10
ok "and applies the rest: 2 -> 4 workers" wait_until '[ "$(n_of worker)" = 4 ]' 10
ok "the children learn the number" wait_until '[ "$(n_logged "n_workers=4")" -ge 3 ]' 10
ok "the old children stay" test "$(comm -12 <(echo "$before" | sort) <(children | sort))" = "$(echo "$before" | sort)"
forget
conf 'workers: { count = 1; };'
hup
ok "4 -> 1 workers" wait_until '[ "$(n_of worker)" = 1 ]' 10
ok "the highest slots left" wait_until 'logged "child=worker-3" && logged "child=worker-1"' 10
none "by draining" "$(tail -c +"$((seen + 1))" "$log" | grep child.exited | grep -v 'code=0 asked=yes')"

conf 'workers: { count = 3; }; log: { level = "info"; };'
hup
wait_until '[ "$(n_of worker)" = 3 ] && logged supervisor.healthy' 10
forget
conf 'workers: { count = 3; }; log: { level = "debug"; };'
hup
ok "the log level reaches living children" wait_until 'logged "role=worker-2 state=idle"' 10
conf 'workers: { count = 3; };'
hup
wait_until 'logged "config.changed role=supervisor log.level: \"debug\" -> \"info\""' 10

# order: events of replacing, in a row.
order() {
	tail -c +"$((seen + 1))" "$log" | grep -E 'child.(replaced|exited|ready) role=supervisor child=worker' |
		sed -E 's/.*child\.([a-z]+) .*child=worker-([0-9]).*/\1\2/' | tr '\n' ' '
}

before=$(pids_of worker)
others="$(pids_of reader) $(pids_of keeper)"
forget
conf 'workers: { count = 3; batch_events = 77; };'
hup
ok "a key of the workers: config.reloaded" wait_until 'logged config.reloaded' 20
is "they are replaced one at a time, the next when the last is ready" "$(order)" \
	"replaced0 exited0 ready0 replaced1 exited1 ready1 replaced2 exited2 ready2 "
ok "with the new value" test "$(n_logged batch_events=77)" = 3
is "reader and keeper stay" "$(pids_of reader) $(pids_of keeper)" "$others"

echo wait >"$STAND_IN/worker-0"
before=$(pids_of worker)
forget
conf 'workers: { count = 3; batch_events = 78; };'
hup
ok "one that does not become ready" wait_until 'status | grep -q "worker-0 is not ready, it waits: PostgreSQL /nowhere"' 10
is "stops the replacing" "$(order)" "replaced0 exited0 "
is "status exits 1" "$(exit_of status)" 1
conf 'workers: { count = 3; batch_events = 79; };'
hup
ok "a second SIGHUP meanwhile is served" wait_until '[ "$(n_logged batch_events=79)" -ge 1 ]' 10
rm "$STAND_IN/worker-0"
ok "and replacing goes on when it is ready" wait_until '[ "$(n_logged batch_events=79)" = 3 ] && logged config.reloaded' 20
before=$(children)
for _ in $(seq 50); do hup; done
ok "a storm of SIGHUP does nothing" wait_until 'status | grep -q healthy' 10
is "to the children" "$(children)" "$before"

# ---- children that end ----

forget
victim=$(pids_of keeper)
kill -SEGV "$victim"
ok "a child that dies is restarted" wait_until 'logged "child.ready role=supervisor child=keeper-0"' 10
ok "and the log says of what" logged "child=keeper-0 pid=$victim signal=SIGSEGV asked=no"
forget
victim=$(pids_of reader)
kill -STOP "$victim"
ok "a child that does not beat is reported" wait_until 'logged "child.late role=supervisor child=reader-0"' 15
kill -CONT "$victim"
forget
echo crash >"$STAND_IN/worker-1"
ok "a child that keeps crashing trips the breaker" wait_until 'logged "child.broken role=supervisor child=worker-1"' 30
is "after six times" "$(n_logged "child.exited role=supervisor child=worker-1")" 6
is "the others keep running" "$(n_of reader) $(n_of worker) $(n_of keeper)" "1 2 1"
ok "status says so" test "$(status | grep -c 'worker-1 is broken')" = 1
rm "$STAND_IN/worker-1"
conf 'workers: { count = 3; batch_events = 80; };'
hup
ok "a new configuration tries it at once" wait_until '[ "$(n_of worker)" = 3 ] && status | grep -q healthy' 20

# zombies PIDS: all of them have ended and nobody has taken notice.
zombies() {
	local pid

	for pid in $1; do
		grep -q '^State:.Z' "/proc/$pid/status" || return 1
	done
}

forget
victims=$(pids_of worker; pids_of reader)
kill -STOP "$standpipe_pid"
kill -SEGV $victims
wait_until 'zombies "$victims"' 10 || bail "they do not die"
kill -CONT "$standpipe_pid"
ok "four that die at once, with one SIGCHLD, are all noticed" wait_until '[ "$(n_logged signal=SIGSEGV)" = 4 ]' 10
ok "none stays a zombie" wait_until 'for pid in $victims; do [ ! -e "/proc/$pid" ] || exit 1; done' 10
ok "and all are restarted" wait_until '[ "$(n_of reader) $(n_of worker)" = "1 3" ] && status | grep -q healthy' 20

# ---- the end ----

forget
before=$(children)
stop TERM
is "SIGTERM exits 0" "$standpipe_status" 0
is "reader, then workers, then keeper" "$(tail -c +"$((seen + 1))" "$log" | grep child.exited | sed -E 's/.*child=([a-z]+).*/\1/' | uniq | tr '\n' ' ')" \
	"reader worker keeper "
none "each by draining" "$(tail -c +"$((seen + 1))" "$log" | grep child.exited | grep -v 'code=0 asked=yes')"
ok "no child is left" gone "$before"
ok "nor the socket" test ! -e "$T/run/standpipe.sock"

# ms_of TEXT: milliseconds of the day of the last line that has it.
ms_of() {
	tail -c +"$((seen + 1))" "$log" | grep -F -- "$1" | tail -n 1 | sed -E 's/^[^T]*T(..):(..):(..)\.(...).*/\1 \2 \3 \4/' |
		{ read -r h m s ms; echo $((((10#$h * 60 + 10#$m) * 60 + 10#$s) * 1000 + 10#$ms)); }
}

# The fastest of a few: another program may have had the processor.
fastest=100000
for _ in 1 2 3 4 5; do
	start
	stop TERM
	took=$(($(ms_of child.exited) - $(ms_of supervisor.stopping)))
	[ "$took" -ge "$fastest" ] || fastest=$took
	[ "$fastest" -gt 300 ] || break
done
ok "idle children leave within 100 ms, role after role ($fastest ms for three)" test "$fastest" -le 300

# wish WORD CHILD: until the child does as it is told.
wish() {
	word=$1 child=$2
	echo "$word" >"$STAND_IN/$child"
	wait_until 'logged "stand_in.obeying role=$child $word"' 10 || bail "$child does not obey"
}

drain_timeout=1.0 conf 'workers: { count = 2; };'
start
wish stubborn worker-0
stop TERM
ok "a child that does not drain is killed after drain_timeout" logged "child.killed role=supervisor child=worker-0"
ok "and those before and beside it drained" test "$(n_logged "code=0 asked=yes")" -ge 2
rm "$STAND_IN/worker-0"

conf 'workers: { count = 2; };'
start
wish stubborn worker-1
kill -TERM "$standpipe_pid"
wait_until 'logged "child=reader-0 pid=" && logged supervisor.stopping' 10
began=$SECONDS
stop TERM
ok "a second SIGTERM ends at once" test $((SECONDS - began)) -lt 5
ok "by killing what is left" logged "child.killed role=supervisor child=worker-1"
rm "$STAND_IN/worker-1"

start
echo orphan >"$STAND_IN/worker-0"
wait_until 'logged "child=worker-0 pid" && logged SIGSEGV' 10
rm "$STAND_IN/worker-0"
ok "what a crashed child leaves behind comes to the supervisor" wait_until '[ "$(n_of worker)" -ge 3 ]' 10
before=$(children)
stop TERM
ok "and ends with it" gone "$before"

start
before=$(children)
wish silent worker-0
stop KILL
ok "SIGKILL of the supervisor leaves no child, not even a stuck one" wait_until 'gone "$before"' 10
rm "$STAND_IN/worker-0"
start
ok "and the next start is not kept out" test "$(n_of worker)" = 2
before=$(children)
wish spared worker-0
wish spared reader-0
stop KILL
ok "those that no signal reaches leave because the channel has ended" wait_until 'gone "$before"' 10
rm "$STAND_IN/worker-0" "$STAND_IN/reader-0"

# ---- dependencies ----

echo refuse >"$STAND_IN/keeper"
is "settings that break the promise exit 78" "$(exit_of timeout 20 "$stand_in" -c "$T/standpipe.conf")" 78
is "and are said once, with the way out" "$(grep -c 'dependency.refused.*CONFIG SET maxmemory-policy noeviction' "$T/out")" 1
echo wait >"$STAND_IN/keeper"
is "--require exits 69 when a dependency stays away" "$(exit_of timeout 30 "$stand_in" --require -c "$T/standpipe.conf")" 69
ok "and says which" grep -q 'dependency.unavailable.*PostgreSQL /nowhere' "$T/out"
rm "$STAND_IN/keeper"

# ---- the program itself: nothing it needs is there ----

standpipe=$real
conf "source: { urls = [\"ws://127.0.0.1:9\"]; }; redis: { url = \"unix://$T/no.sock\"; };
	postgres: { conninfo = \"host=$T dbname=none\"; }; workers: { count = 2; };"
forget
standpipe_run
ok "all children come up and wait" wait_until 'status --json | grep -qE "(\"doing\":\"waiting\".*){4}"' 20
ok "status names what for" wait_until 'status | grep -q "$T/no.sock"' 10
before=$(children)
forget
stop TERM
is "SIGTERM exits 0" "$standpipe_status" 0
none "all drained" "$(tail -c +"$((seen + 1))" "$log" | grep child.exited | grep -v 'code=0 asked=yes')"
forget
standpipe_run
wait_until '[ "$(children | wc -l)" = 4 ]' 10
before=$(children)
stop KILL
ok "SIGKILL of the supervisor leaves no child" wait_until 'gone "$before"' 10

# ---- what is inherited: the program whose descriptors may be looked at, given more than it needs ----

standpipe=$build/tests/fault/standpipe-faults
: >"$T/extra"
exec 20<"$T/extra" 57>>"$T/extra" 200<"$T"
standpipe_run
exec 20<&- 57>&- 200<&-
wait_until '[ "$(children | wc -l)" = 4 ] && status --json | grep -qE "(\"doing\":\"waiting\".*){4}"' 20
ok "the supervisor itself has them" test "$(readlink /proc/"$standpipe_pid"/fd/{20,57,200} | grep -c "^$T")" = 3
is "its children have stdio, a channel, the configuration and the counters" \
	"$(for pid in $(children); do readlink /proc/"$pid"/fd/{3,4,5} | sed 's/:\[.*//;s/ (deleted)//'; done | sort | uniq -c | tr -s ' \n' ' ')" \
	" 4 /memfd:standpipe-conf 4 /memfd:standpipe-stats 4 socket "
none "and beyond these only what they have opened" "$(
	ours=$(readlink /proc/"$standpipe_pid"/fd/* | grep -E '^(socket|pipe):')
	for pid in $(children); do
		for fd in /proc/"$pid"/fd/*; do
			[ "${fd##*/}" -gt 5 ] || continue
			file=$(readlink "$fd")	# or it has just been closed
			case $file in
			'' | 'anon_inode:[signalfd]' | 'anon_inode:[eventpoll]') ;;
			socket:* | pipe:*) grep -F "$file" <<<"$ours" ;;
			*) echo "$fd $file" ;;
			esac
		done
	done)"
stop TERM

# one child stops where it would not yet die with its parent (struct failpoint_slot; 5: FAIL_STOP, at the first pass)
perl -e 'print pack "a32 L6 x8", "spawn_forked", 5, 0, 1, 1, 0, 0' >"$T/failpoints"
STANDPIPE_FAILPOINTS=$T/failpoints standpipe_run
stopped() {
	local pid

	for pid in $(cat "/proc/$standpipe_pid/task/$standpipe_pid/children"); do
		! grep -q '^State:.T' "/proc/$pid/status" || echo "$pid"
	done
}
wait_until '[ -n "$(stopped)" ] && [ "$(children | wc -l)" = 3 ]' 20 || bail "no child is on its way"
before=$(stopped)
stop KILL
ok "a child that is on its way when its parent dies is still there" grep -q '^State:.T' "/proc/$before/status"
kill -CONT "$before"
ok "and leaves as soon as it looks" wait_until 'gone "$before"' 10

# ---- the watchdog: what became of it ----

watched_status() {
	"$real" status -c "$T/watched/conf"
}

watched_logged() {
	grep -qE "$1" "$T/watched.log"
}

ok "a child without a sign of life for half a minute is aborted" \
	wait_until 'watched_logged "child.stuck role=supervisor child=worker-0 .*: no sign of life for 3[0-9] s"' 50
ok "and one that does not die of it is killed 5 s later" wait_until 'watched_logged "child.killed role=supervisor child=worker-1"' 20
ok "both are back" wait_until 'watched_status | grep -q "^standpipe healthy"' 20
ok "status says how it ended" test "$(watched_status | grep -cE '^worker-[01] .* 1 .*signal=SIG(ABRT|KILL) \(was stuck\)$')" = 2
ok "the third was left alone" grep -qE '^worker-2 .* 0 .* -$' <(watched_status)
kill "$watched"
wait "$watched"
plan
