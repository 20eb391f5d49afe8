#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 5400
# The Debian package in a clean system: it builds and installs, and what README.Debian says leads to a service
# that ingests in its sandbox, reloads, drains and survives. The system comes from debootstrap (or is a copy of
# $STANDPIPE_TEST_ROOT, a root made so before) and is booted by systemd-nspawn with no network but its own
# loopback. Root only.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/tap.sh"
relay=${STANDPIPE_BUILD:-$top/build}/tests/relay/standpipe-relay
mirror=${STANDPIPE_TEST_MIRROR:-http://deb.debian.org/debian}
tick=0.2

if [ "$(id -u)" -ne 0 ]; then
	skip "root only: debootstrap and systemd-nspawn"
	plan
fi
T=$(mktemp -d /var/tmp/standpipe-package.XXXXXX) || exit 1
R=$T/root
nspawn='' leader=''

# The system goes with its first process; systemd-nspawn leaves its control groups where systemd does not run.
cleanup() {
	if [ -n "$nspawn" ]; then
		kill -KILL ${leader:-$nspawn} 2>/dev/null
		wait "$nspawn" 2>/dev/null
		[ -d /run/systemd/system ] || find /sys/fs/cgroup -depth -type d \
			'(' -path '*/payload' -o -path '*/payload/*' -o -path '*/supervisor' ')' -exec rmdir '{}' ';' 2>/dev/null
	fi
	wait_until 'rm -rf "$T"' 20
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

bail() {
	echo "Bail out! $*"
	exit 1
}

# logged NAME COMMAND...: its output goes to a file, whose end is shown if it fails.
logged() {
	local log=$T/$1.log

	shift
	"$@" >"$log" 2>&1 </dev/null || { tail -n 40 "$log"; return 1; }
}

wait_until() {
	local deadline=$((SECONDS + $2))

	until eval "$1" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep "$tick"
	done
}

# in_root COMMAND...: before the system is booted, with the network of this one.
in_root() {
	unshare -m sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' sh "$R" \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

# inside COMMAND...: in the booted system.
inside() {
	nsenter -t "$leader" -m -u -i -p -n -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C "$@"
}

# as USER COMMAND...
as() {
	local user=$1

	shift
	inside runuser -u "$user" -- "$@"
}

property() {
	inside systemctl show -P "$1" standpipe
}

# ---- build, install ----

ok "the package builds, its unit tests pass" logged build "$top/etc/build-package" "$T/deb" || plan
deb=$(echo "$T"/deb/standpipe_*.deb)
if command -v lintian >/dev/null; then
	none "lintian has no error" "$(lintian --allow-root --tag-display-limit 0 "$deb" 2>&1 | grep '^E:')"
fi

if [ -n "${STANDPIPE_TEST_ROOT-}" ]; then
	cp -a "$STANDPIPE_TEST_ROOT" "$R"
else
	logged debootstrap debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$R" "$mirror"
fi || bail "no clean root"
cp /etc/resolv.conf "$R/etc/resolv.conf"
cp "$deb" "$R/standpipe.deb"
logged update in_root apt-get update
ok "it installs in a clean system, with what it depends on" \
	logged install in_root apt-get -y --no-install-recommends install /standpipe.deb || plan
# what it recommends; what the generated firehose, which is not part of the package, needs
logged servers in_root apt-get -y --no-install-recommends install postgresql redis-server libsecp256k1-1 \
	libevent-openssl-2.1-7 || bail "no servers"
is "the configuration is the service's and root's alone" \
	"$(in_root stat -c '%U:%G %a' /etc/standpipe /etc/standpipe/standpipe.conf)" \
	$'root:standpipe 750\nroot:standpipe 640'
is "the user cannot log in" "$(in_root getent passwd standpipe | cut -d: -f6-)" "/nonexistent:/usr/sbin/nologin"
ok "the unit passes systemd-analyze verify" in_root systemd-analyze verify --man=no standpipe.service
none "without a warning" "$(in_root systemd-analyze verify --man=no standpipe.service 2>&1 | grep standpipe)"
is "it is not enabled" "$(in_root systemctl is-enabled standpipe)" disabled
ok "its configuration is valid" in_root runuser -u standpipe -- standpipe check
for page in man1/standpipe.1 man5/standpipe.conf.5 man7/standpipe-schema.7; do
	ok "$page is there" gzip -t "$R/usr/share/man/$page.gz"
done

# ---- boot ----

"$relay" generate --out "$R/generated" --frames 40000 --late 5 --start now >"$T/generate.log" 2>&1 || bail "generate failed"
install "$relay" "$R/usr/local/bin/standpipe-relay"
install "$top/tests/compare" "$R/usr/local/bin/compare"
chmod a+r "$R"/generated*
printf '%s\n' 'maxmemory 256mb' 'maxmemory-policy noeviction' 'appendonly yes' >>"$R/etc/redis/redis.conf"
systemd-nspawn -q -D "$R" -b --register=no --keep-unit --private-network --console=pipe \
	--machine=standpipe-test >"$T/nspawn.log" 2>&1 </dev/null &
nspawn=$!
if ! wait_until 'leader=$(pgrep -P "$nspawn" -x systemd) && inside systemctl is-active multi-user.target' 120; then
	skip "the service in a booted system: systemd-nspawn cannot boot here: $(head -n 1 "$T/nspawn.log")"
	plan
fi
# as README.Debian has it
as postgres createuser standpipe
as postgres createdb -O standpipe bsky
ok "migrate, as the service's user" as standpipe standpipe migrate
inside /usr/local/bin/standpipe-relay serve /generated.frames --rate 1000 --listen 127.0.0.1:7100 >"$T/relay.log" 2>&1 </dev/null &
sed -i 's|urls = .*start = "live"|urls = ["ws://127.0.0.1:7100"]; start = "oldest"|' "$R/etc/standpipe/standpipe.conf"

ok "systemctl enable --now: it says that it is ready" inside systemctl enable --now standpipe
is "it is active" "$(property ActiveState)" active
main=$(property MainPID)
is "as its user" "$(inside stat -c %U "/proc/$main")" standpipe
is "without capabilities, without new privileges, with a filter of system calls" \
	"$(inside grep -E '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$main/status" | tr -s '\t\n' ' ')" \
	"CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 "
is "its sandbox lets the monitor step back behind the pipeline" "$(inside sh -c 'for dir in /proc/[0-9]*; do
	! tr "\0" " " <"$dir/cmdline" | grep -q -e "--role monito[r]" || cut -d" " -f19 "$dir/stat"; done' 2>/dev/null)" 10

# ---- ingest ----

# (the clean system has no pgrep)
workers() {
	inside sh -c "cat /proc/[0-9]*/cmdline | tr '\\0' ' '" 2>/dev/null | grep -o -e '--role worker' | wc -l
}
committed() {
	as postgres psql -XAtq -d bsky -c 'select seq from standpipe.watermark'
}
ok "it ingests" wait_until '[ "$(committed)" -gt 0 ]' 60
ok "standpipe status is healthy" wait_until 'inside standpipe status' 60
before=$(committed)
sed -i 's/count = 2/count = 3/' "$R/etc/standpipe/standpipe.conf"
ok "systemctl reload" inside systemctl reload standpipe
ok "a third worker works" wait_until '[ "$(workers)" = 3 ]' 30
cp "$R/etc/standpipe/standpipe.conf" "$T/good.conf"
echo 'workers: { count = many; };' >"$R/etc/standpipe/standpipe.conf"
is "systemctl reload of a bad file fails" "$(inside systemctl reload standpipe >/dev/null 2>&1; echo $?)" 1
is "and the service goes on" "$(property ActiveState) $(property MainPID)" "active $main"
ok "its journal says what is wrong where" wait_until 'inside journalctl -u standpipe | grep -q "standpipe.conf:1: "' 20
cp "$T/good.conf" "$R/etc/standpipe/standpipe.conf"
ok "it still ingests" wait_until '[ "$(committed)" -gt "$before" ]' 60

kill_main() {
	inside sh -c "kill -KILL $(property MainPID)"
}
kill_main
ok "killed, it is back by itself" wait_until '[ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ]' 60
ok "frozen, the watchdog ends it and it is back" eval '
	inside sh -c "kill -STOP $(property MainPID)"
	wait_until "[ \"\$(property NRestarts)\" = 2 ] && [ \"\$(property ActiveState)\" = active ]" 240'
inside systemctl restart redis-server
inside systemctl restart postgresql
ok "everything is committed" wait_until 'as postgres /usr/local/bin/compare /generated -d bsky' 180
diag < <(as postgres /usr/local/bin/compare /generated -d bsky)
ok "systemctl stop" inside systemctl stop standpipe
is "drains and exits 0" "$(property Result) $(property ExecMainStatus)" "success 0"
diag < <(inside journalctl -u standpipe -o cat | tail -n 5)
none "the sandbox refused nothing" "$(inside journalctl -u standpipe -o cat | grep -iE 'permitted|SIGSYS|bad system call')"

# ---- removal ----

ok "it can be removed" logged purge inside apt-get -y purge standpipe
none "with its configuration" "$(ls -d "$R/etc/standpipe" 2>/dev/null)"
plan
