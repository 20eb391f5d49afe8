# SPDX-License-Identifier: MIT
# Private servers and a private standpipe for the integration tests (bash, to be sourced first).
#
# Everything lives in the temporary folder $T and on unix sockets there, except the recorded or generated
# firehose, which listens on a loopback port the kernel chose. When the test ends, for whatever reason,
# all it started is gone. As root the test begins again as an ordinary user.
# Sourcing gives: $standpipe $relay (programs), $compare, $T; tests/tap.sh.

set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${STANDPIPE_BUILD:-$top/build}
. "$top/etc/private-servers.sh"
if [ -n "$drop" ]; then
	exec $drop bash "$0" "$@"
fi
. "$top/tests/tap.sh"

standpipe=$build/standpipe
relay=$build/tests/relay/standpipe-relay
compare=$top/tests/compare
stream=firehose:events group=firehose-processors
T=$(mktemp -d /tmp/standpipe-test.XXXXXX) || exit 1
tick=0.1	# seconds between two looks at a condition
servers=()	# pids to kill at the end
databases=()	# to drop at the end
standpipe_pid='' pg_own=''

bail() {
	echo "Bail out! $*"
	exit 1
}

# What stood in the logs, when the test did not end well.
show_logs() {
	local log

	for log in "$T"/*.log; do
		[ ! -s "$log" ] || { echo "---- ${log##*/}"; tail -n 60 "$log"; } | diag
	done
}

cleanup() {
	local status=$? pid

	# a subshell killed before it has reset its traps must not take everything down
	[ "$BASHPID" = $$ ] || exit "$status"
	trap - EXIT
	[ "$status" -eq 0 ] || show_logs
	standpipe_stop KILL
	for pid in "${servers[@]}"; do
		kill -CONT "$pid" 2>/dev/null
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	if [ -n "$pg_own" ]; then
		pg_down "$pg_own" immediate 2>/dev/null
	else
		for db in "${databases[@]}"; do
			psql -XAtqd postgres -c "drop database if exists $db with (force)" >/dev/null 2>&1
		done
	fi
	rm -rf "$T"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until CONDITION SECONDS: evaluates CONDITION until it succeeds; 1 when the time is over.
wait_until() {
	local deadline=$((SECONDS + $2))

	until eval "$1" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep "$tick"
	done
}

# ---- PostgreSQL: the runner's cluster, or with `pg_start own` one that the test may stop ----

# Every call makes a new, empty database and makes it psql's default.
pg_start() {
	if [ -n "${STANDPIPE_TEST_PG-}" ] && [ "${1-}" != own ]; then
		export PGHOST=$STANDPIPE_TEST_PG
	elif [ -z "$pg_own" ]; then
		export PGHOST=$T
		pg_own=$T/pg
		pg_make "$pg_own" || bail "initdb failed"
		pg_resume || bail "PostgreSQL does not start"
	fi
	export PGUSER=standpipe PGDATABASE=standpipe_test_$$_${#databases[@]}
	databases+=("$PGDATABASE")
	psql -XAtqd postgres -c "create database $PGDATABASE" >/dev/null || bail "no database"
}

pg_resume() {
	pg_up "$pg_own" "$T" "$T/postgres.log" jit=off
}

pg_pause() {
	pg_down "$pg_own" immediate
}

# sql STATEMENT: unaligned rows.
sql() {
	psql -XAtq -v ON_ERROR_STOP=1 -c "$1"
}

# ---- Redis ----

redis_start() {
	mkdir -p "$T/redis"
	redis_exec "$T/redis" "$T/redis.sock" --daemonize no --logfile "$T/redis.log" "$@" &
	redis_pid=$!
	servers+=("$redis_pid")
	wait_until '[ "$(redis ping)" = PONG ]' 20 || bail "Redis does not start"
}

redis() {
	redis-cli -s "$T/redis.sock" "$@"
}

# ---- the firehose ----

# relay_start SUBCOMMAND ARGUMENTS...: sets relay_url and relay_pid.
relay_start() {
	rm -f "$T/relay.out"	# an earlier relay's address
	"$relay" "$@" >"$T/relay.out" 2>"$T/relay.log" &
	relay_pid=$!
	servers+=("$relay_pid")
	wait_until 'grep -q "^listening wss*://" "$T/relay.out"' 30 || bail "the relay does not listen"
	relay_url=$(sed -n 's/^listening \(wss*:[^ ]*\).*/\1/p' "$T/relay.out" | head -n 1)
}

relay_stop() {
	kill "$relay_pid" 2>/dev/null
	wait "$relay_pid" 2>/dev/null
}

# last_seq FILE.frames: the seq of its last frame that has one.
last_seq() {
	perl -e '
		open my $f, "<:raw", $ARGV[0] or die $!;
		my $last = 0;
		while (read $f, my $n, 4) {
			read $f, my $frame, unpack "N", $n;
			$last = unpack "Q>", $1 if $frame =~ /cseq\x1b(.{8})/s;
			$last = unpack "N", $1 if $frame =~ /cseq\x1a(.{4})/s;
			$last = unpack "n", $1 if $frame =~ /cseq\x19(.{2})/s;
			$last = unpack "C", $1 if $frame =~ /cseq\x18(.)/s;
			$last = ord $1 if $frame =~ /cseq([\x00-\x17])/;
		}
		print "$last\n"' "$1"
}

# ---- standpipe ----

# Writes $T/standpipe.conf. More settings of a group come from the variables set_source, set_redis,
# set_workers, set_pending, set_queue, set_identity ("name = value; ..."), the monitor's address from listen,
# the directory's from plc_url.
standpipe_conf() {
	mkdir -p "$T/run"
	cat >"$T/standpipe.conf" <<-CONF
		source: { urls = ["${relay_url:-ws://127.0.0.1:9}"]; start = "oldest"; ${set_source-} };
		redis: { url = "unix://$T/redis.sock"; ${set_redis-} };
		postgres: { conninfo = "host=$PGHOST user=$PGUSER dbname=$PGDATABASE"; };
		workers: { ${set_workers-} };
		pending: { ${set_pending-} };
		queue: { ${set_queue-} };
		http: { listen = "${listen-}"; };
		identity: { allow_loopback = ${allow_loopback:-true}; plc_url = "${plc_url:-http://127.0.0.1:9}"; ${set_identity-} };
		runtime: { dir = "$T/run"; };
	CONF
}

# Runs a sub-command against the test's configuration.
standpipe() {
	local command=$1

	shift
	"$standpipe" "$command" -c "$T/standpipe.conf" "$@"
}

# standpipe_start [ARGUMENTS]: configuration, schema, then the supervisor in the background.
standpipe_start() {
	standpipe_conf
	standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
	standpipe_run "$@"
}

standpipe_run() {
	"$standpipe" run -c "$T/standpipe.conf" "$@" >>"$T/standpipe.log" 2>&1 &
	standpipe_pid=$!
}

# standpipe_stop [SIGNAL]: waits for its end; sets standpipe_status.
standpipe_stop() {
	[ -n "$standpipe_pid" ] || return 0
	kill "-${1:-TERM}" "$standpipe_pid" 2>/dev/null
	( wait_until '! kill -0 "$standpipe_pid"' 40 || kill -KILL "$standpipe_pid" ) 2>/dev/null &
	local guard=$!
	wait "$standpipe_pid" 2>/dev/null
	standpipe_status=$?
	kill "$guard" 2>/dev/null
	wait "$guard" 2>/dev/null
	standpipe_pid=
}

# free_port: one that nobody listens on now.
free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}

# http REQUEST-LINE [HEADERS-AND-BODY]: the whole answer of $listen, as it comes.
http() {
	perl -MIO::Socket::INET -e '
		my ($address, $line, $rest) = @ARGV;
		my $s = IO::Socket::INET->new(PeerAddr => $address, Timeout => 5) or exit 1;
		print $s "$line HTTP/1.1\r\nHost: x\r\n", $rest // "", "\r\n";
		alarm 20;
		local $/;
		print <$s>' "$listen" "$@"
}

# pids_of ROLE: the supervisor's children with that role. (No process is started for it.)
pids_of() {
	local dir stat arguments

	for dir in /proc/[0-9]*; do
		{ read -r stat <"$dir/stat"; } 2>/dev/null || continue
		stat=${stat##*) }	# from the state on: state, parent, ...
		stat=${stat#* }
		[ "${stat%% *}" = "$standpipe_pid" ] || continue
		{ mapfile -d '' -t arguments <"$dir/cmdline"; } 2>/dev/null
		case " ${arguments[*]} " in *" --role $1 "* | *" --role=$1 "*) echo "${dir#/proc/}" ;; esac
	done
}

# Everything up to seq $1 is in PostgreSQL and nothing is delivered and unacknowledged.
committed() {
	[ "$(sql 'select seq from standpipe.watermark')" = "$1" ] &&
		[ "$(redis xpending "$stream" "$group" | head -n 1)" = 0 ]
}

# wait_committed SEQ SECONDS
wait_committed() {
	wait_until "committed $1" "$2" && return
	echo "watermark $(sql 'select epoch, seq from standpipe.watermark'), wanted seq $1;" \
		"pending in the group: $(redis xpending "$stream" "$group" | tr '\n' ' ')"
	return 1
}
