# SPDX-License-Identifier: MIT
# Servers, recordings and one measurement, for tests/bench/run (bash, to be sourced after tests/lib.sh).
#
# Everything measured goes to the file $figures, a line each: PHASE seconds S, PHASE events N,
# PHASE cpu PROCESS US-PER-EVENT, PHASE rss PROCESS NOW-KB PEAK-KB, or value NAME NUMBER.

tool=$build/tests/bench/tool/bench-tool
figures=$T/figures
pg_bench=(shared_buffers=1GB max_wal_size=8GB checkpoint_timeout=30min max_connections=40)
pg_extra=() relay_pid='' redis_pid='' ticker='' began=$SECONDS
tick=0.05

# ---- progress: a live line on a terminal, else one every 10 seconds ----

now() {
	echo "$*" >"$T/now"
	: >"$T/progress"
}

show_progress() {
	local pause=10 text

	[ ! -t 2 ] || pause=1
	while sleep "$pause"; do
		text="$(cat "$T/now") $(tail -c 100 "$T/progress" | tail -n 1)"
		if [ -t 2 ]; then
			printf '\r\e[K%4d s  %s' $((SECONDS - began)) "$text" >&2
		else
			printf '%4d s  %s\n' $((SECONDS - began)) "$text" >&2
		fi
	done
}

begin_run() {
	: >"$figures"
	now starting
	show_progress &
	ticker=$!
	servers+=("$ticker")
	mkdir -p "$T/run"
	# the monitor belongs to what runs
	listen=127.0.0.1:$(perl -MIO::Socket::INET -e '
		print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	export PGHOST=$T
	pg_own=$T/pg
	pg_make "$pg_own" || bail "initdb failed"
	pg_again
}

end_run() {
	kill "$ticker" 2>/dev/null
	wait "$ticker" 2>/dev/null
	[ ! -t 2 ] || printf '\r\e[K' >&2
	echo "value bench_seconds $((SECONDS - began))" >>"$figures"
}

# ---- recordings ----

# recording EVENTS OPTIONS...: sets $recording (without .frames) and $last; made once, then kept.
recording() {
	local name

	name=$cache/$(printf '%s' "$*" | tr -cs 'a-zA-Z0-9' -)
	now "generating $1 frames into $cache"
	if [ ! -s "$name.frames" ]; then
		"$relay" generate --out "$name.new" --frames "$@" >>"$T/generate.log" 2>&1 || bail "generate failed"
		for file in records.jsonl accounts.jsonl diddocs.json frames; do mv "$name.new.$file" "$name.$file"; done
		rm -f "$name.new".*
	fi
	recording=$name last=$1	# seqs are 1, 2, 3, ...
}

# ---- servers ----

# pg_again [SETTING...]: the cluster with other settings.
pg_again() {
	[ ! -f "$pg_own/postmaster.pid" ] || pg_down "$pg_own" fast
	pg_extra=("$@")
	pg_up "$pg_own" "$T" "$T/postgres.log" "${pg_bench[@]}" "$@" || bail "PostgreSQL does not start"
	postmaster=$(head -n 1 "$pg_own/postmaster.pid")
}

redis_again() {
	if [ -n "$redis_pid" ]; then
		{ kill -KILL "$redis_pid"; wait "$redis_pid"; } 2>/dev/null
	fi
	rm -rf "$T/redis"
	redis_start --maxmemory 6gb "$@"
}

# fresh WORKERS [REDIS-OPTIONS]: an empty Redis, an empty database with the schema, a configuration.
fresh() {
	local old=${PGDATABASE-}

	{ standpipe_stop KILL; relay_stop; } 2>/dev/null
	set_workers="count = $1;"
	shift
	redis_again "$@"
	pg_start own
	[ -z "$old" ] || psql -XAtqd postgres -c "drop database if exists $old with (force)" >/dev/null
	psql -XAtqd postgres -c checkpoint
	standpipe_conf
	standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
}

# The relay, stopped before it has accepted anybody: what is to be measured begins with SIGCONT.
relay_hold() {
	relay_start serve "$@"
	kill -STOP "$relay_pid"
	standpipe_conf
}

# Somebody waits at the relay's door.
at_the_door() {
	local port

	port=$(printf '%04X' "${relay_url##*:}")
	awk -v port=":$port" '
		index($2, port) && $4 == "0A" { split($5, queue, ":"); found = queue[2] != "00000000" }
		END { exit !found }' /proc/net/tcp
}

workers_connected() {
	[ "$(sql "select count(*) from pg_stat_activity where application_name ~ '-w[0-9]+\$'")" -ge "$1" ]
}

# run_idle WORKERS: all processes up and connected, the source about to begin.
run_idle() {
	standpipe_run
	wait_until at_the_door 60 || bail "the reader does not come"
	wait_until "workers_connected $1" 30 || bail "the workers do not come"
}

# Every batch needs this table: with the lock held nothing is committed; `rollback;` to descriptor 9 ends it.
hold_lock() {
	rm -f "$T/lock"
	mkfifo "$T/lock"
	psql -XAtq <"$T/lock" >"$T/lock.out" 2>&1 &
	servers+=("$!")
	exec 9>"$T/lock"
	echo 'begin; lock table bsky.actors in access exclusive mode; select 1;' >&9
	wait_until '[ -s "$T/lock.out" ]' 20 || bail "no lock on bsky.actors"
}

# measure PHASE CONDITION SEQ SECONDS GO
measure() {
	now "$1"
	"$tool" measure "$T/redis.sock" "$stream" "$group" "$2" "$3" "$4" "$postmaster" "$standpipe_pid" "$5" \
		"redis=$redis_pid" ${relay_pid:+"relay=$relay_pid"} 2>"$T/progress" >"$T/measured" ||
		bail "$1: $(tail -n 1 "$T/progress")"
	sed "s/^/$1 /" "$T/measured" >>"$figures"
}

# figure PHASE NAME [PROCESS]: what was measured.
figure() {
	awk -v phase="$1" -v name="$2" -v process="${3-}" '
		$1 == phase && $2 == name && process == "" { v = $3 }
		$1 == phase && $2 == name && process != "" && $3 == process { v = $4 }
		END { print v }' "$figures"
}

value() {
	echo "value $1 $2" >>"$figures"
}

# ratio NAME A B: a value with two digits.
ratio() {
	[ -z "$2" ] || [ -z "$3" ] || value "$1" "$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.2f", a / b }')"
}

rate() {
	awk -v phase="$1" '
		$1 == phase && $2 == "seconds" { s = $3 }
		$1 == phase && $2 == "events" { n = $3 }
		END { if (s) printf "%d", n / s }' "$figures"
}

redis_memory() {
	redis info memory | tr -d '\r' | sed -n 's/^used_memory://p'
}
