# SPDX-License-Identifier: MIT
# Packages and private servers, for etc/quickstart, tests/run and tests/lib.sh (POSIX sh, to be sourced).
# The caller sets $top (the project's folder). $drop is the prefix that runs a command as an ordinary
# user: empty unless we are root, because PostgreSQL refuses to run as root.
# The servers listen on unix sockets only; nothing here touches a system service.

drop=
if [ "$(id -u)" -eq 0 ]; then
	drop="setpriv --reuid=postgres --regid=postgres --clear-groups --inh-caps=-all"
fi

# packages_listed [PURPOSE...]: those without a purpose, and those for these purposes.
packages_listed() {
	awk -v purposes=" $* " '{ sub(/#.*/, "") } NF == 1 || NF > 1 && index(purposes, " " $2 " ") { printf "%s ", $1 }' \
		"$top/etc/packages.debian"
}

# What the listed packages that are installed give: their own names, and those they provide (Node.js' own package
# brings npm, and Debian's conflicts with it).
packages_given() {
	dpkg-query -W -f '${db:Status-Status},${Package},${Provides}\n' $(packages_listed "$@") 2>/dev/null |
		awk -F ' *, *' '$1 == "installed" { for (i = 2; i <= NF; i++) { sub(/ .*/, "", $i); printf "%s ", $i } }'
}

# Listed packages that are not installed, on one line.
packages_missing() {
	have=" $(packages_given "$@")"
	for package in $(packages_listed "$@"); do
		case $have in *" $package "*) ;; *) printf '%s ' "$package" ;; esac
	done
}

# packages_install [PURPOSE...]: installs what is missing; 69 and the exact line to run if that is not possible.
packages_install() {
	if ! command -v dpkg-query >/dev/null; then
		echo "not a Debian system: make sure of these yourself: $(packages_listed "$@")" >&2
		return 0
	fi
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	by=
	if [ "$(id -u)" -ne 0 ]; then
		by=sudo
		if ! command -v sudo >/dev/null; then
			echo "packages are missing, and this is neither root nor has sudo; run as root:" >&2
			echo "apt-get update && apt-get install -y --no-install-recommends $missing" >&2
			return 69
		fi
	fi
	echo "installing: $missing" >&2
	# Made before the package comes, this file keeps it from creating and starting a system cluster.
	if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		$by mkdir -p /etc/postgresql-common
		echo 'create_main_cluster = false' | $by tee /etc/postgresql-common/createcluster.conf >/dev/null
	fi
	log=$(mktemp)
	$by apt-get -qq update >"$log" 2>&1 </dev/null
	$by env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 install $missing >>"$log" 2>&1 </dev/null
	status=$?
	[ "$status" -eq 0 ] || { cat "$log"; echo "could not install: $missing"; status=69; } >&2
	rm -f "$log"
	return "$status"
}

# Runs a PostgreSQL program that is not on the PATH (initdb, pg_ctl).
pg_program() {
	program=$1
	shift
	for bin in /usr/lib/postgresql/15/bin $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null); do
		[ ! -x "$bin/$program" ] || { $drop "$bin/$program" "$@"; return; }
	done
	$drop "$program" "$@"
}

# pg_make DATA: a new cluster with the superuser "standpipe".
pg_make() {
	pg_program initdb -D "$1" -U standpipe -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
}

# pg_up DATA SOCKETS LOG [OPTION=VALUE...]: starts the cluster and waits until it answers.
pg_up() {
	pg_data=$1 pg_sockets=$2 pg_log=$3
	shift 3
	pg_options="-c listen_addresses='' -c unix_socket_directories='$pg_sockets' -c unix_socket_permissions=0700"
	for option; do
		pg_options="$pg_options -c $option"
	done
	pg_program pg_ctl -s -w -t 60 -D "$pg_data" -l "$pg_log" -o "$pg_options" start
}

pg_is_up() {
	pg_program pg_ctl -D "$1" status >/dev/null 2>&1
}

# pg_down DATA [smart|fast|immediate]
pg_down() {
	pg_program pg_ctl -s -w -t 60 -D "$1" -m "${2:-fast}" stop
}

# redis_exec DATA SOCKET [ARGUMENTS]: becomes a Redis server with the settings standpipe insists on, and those it
# is better with (README, "Configuration").
# Without redis-server (package redis-tools alone) the same program goes by its other name.
redis_exec() {
	redis_data=$1 redis_socket=$2
	shift 2
	set -- --port 0 --unixsocket "$redis_socket" --unixsocketperm 700 --dir "$redis_data" \
		--save '' --appendonly yes --appendfsync everysec \
		--auto-aof-rewrite-min-size 512mb --rdbcompression no \
		--maxmemory 1gb --maxmemory-policy noeviction "$@"
	if command -v redis-server >/dev/null; then
		exec $drop redis-server "$@"
	fi
	exec $drop bash -c 'exec -a redis-server redis-check-rdb "$@"' redis-server "$@"
}
