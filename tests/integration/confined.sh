#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The program is built against overruns; its processes cannot be dumped, and each child has a filter of system calls;
# passwords are in no command line, log, message or page.
. "$(dirname "$0")/../lib.sh"

# ---- the program ----

elf() {
	readelf --wide "$@" "$standpipe"
}

if command -v readelf >/dev/null; then
	ok "position-independent" grep -q 'Type:.*DYN' <<<"$(elf -h)"
	ok "relocations are read-only" grep -q GNU_RELRO <<<"$(elf -l)"
	ok "and bound at the start" grep -qE 'FLAGS.*(BIND_NOW|NOW)' <<<"$(elf -d)"
	none "no segment is writable and executable" "$(elf -l | grep -E ' (RWE|WE) ')"
	ok "stacks are guarded" grep -q '__stack_chk_fail' <<<"$(elf --dyn-syms)"
	ok "functions of the C library know their buffers" grep -qE '__(memcpy|snprintf|vsnprintf|read)_chk' <<<"$(elf --dyn-syms)"
else
	skip "how the program is built: no readelf here"
fi

# ---- its processes ----

secret_pg=Secret-of-postgres secret_url=Secret-of-the-url secret_file=Secret-of-the-file
listen=127.0.0.1:$(free_port)

# pids: of the supervisor and its children.
pids() {
	echo "$standpipe_pid"
	for role in reader worker keeper monitor; do pids_of "$role"; done
}

field() {
	awk -v name="$1:" '$1 == name { print $2 }' "/proc/$2/status"
}

# With a password for Redis in a file and one for PostgreSQL that nobody asks for.
"$relay" generate --out "$T/generated" --frames 500 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
redis_start
redis config set requirepass "$secret_file" >/dev/null
echo "$secret_file" >"$T/redis.password"
chmod 600 "$T/redis.password"
relay_start serve "$T/generated.frames"
set_redis="password_file = \"$T/redis.password\";"
standpipe_conf
sed -i "s/dbname=/password='$secret_pg' dbname=/" "$T/standpipe.conf"
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
standpipe_run
export REDISCLI_AUTH=$secret_file
ok "confined processes store what comes" wait_committed "$(last_seq "$T/generated.frames")" 60
is "there are five of them" "$(pids | wc -l)" $((1 + 1 + 2 + 1 + 1))
is "all are found by the program's name" "$(for pid in $(pids); do field Name "$pid"; done | sort -u)" standpipe
if [ "$(field Seccomp "$(pids_of reader)")" = 0 ] && grep -q child.unconfined "$T/standpipe.log"; then
	skip "system calls are filtered: the kernel here has no filters"
else
	is "each child's system calls are filtered, and it gains no privileges" \
		"$(for pid in $(pids | tail -n +2); do field Seccomp "$pid"; field NoNewPrivs "$pid"; done | sort | uniq -c | tr -s ' \n' ' ')" \
		" 5 1 5 2 "
fi
is "none leaves a core file" "$(for pid in $(pids); do grep 'Max core file size' "/proc/$pid/limits"; done |
	awk '$5 != 0 || $6 != 0' | wc -l)" 0
if [ "$(id -u)" -ne 0 ]; then
	is "nobody but root can look into one" "$(for pid in $(pids); do cat "/proc/$pid/environ" 2>/dev/null; done | wc -c)" 0
else
	skip "nobody but root can look into one: this is root"
fi

# ---- what they say ----

everything_said() {
	cat "$T/standpipe.log" "$T/migrate.log"
	for pid in $(pids); do tr '\0' ' ' <"/proc/$pid/cmdline"; done
	for command in 'status' 'status --json' config check 'stream info' 'pending top' gaps 'dead-letter list'; do
		# shellcheck disable=SC2086 # words
		standpipe $command 2>&1
	done
	for path in / /status.json /metrics /readyz; do http "GET $path"; done
}

said=$(everything_said)
ok "there is a lot of it" test "${#said}" -gt 5000
none "no password in command lines, logs, status, configuration or pages" "$(grep -o 'Secret-of-[a-z-]*' <<<"$said")"
standpipe_stop

# refused NAME VALUE: a value with a secret that leads nowhere, or is malformed; every command's words about it.
refused() {
	printf '%s\n' "$1" >"$T/refused.conf"
	for command in check config migrate 'stream info'; do
		# shellcheck disable=SC2086
		timeout 20 "$standpipe" $command -c "$T/refused.conf" 2>&1
	done
}

words=$(
	refused "postgres: { conninfo = \"host=/nonexistent dbname=a password=$secret_pg\"; };"
	refused "postgres: { conninfo = \"dbname=a password=not quoted $secret_pg\"; };"
	refused "postgres: { conninfo = \"host=/nonexistent password='never ends $secret_pg\"; };"
	refused "postgres: { conninfo = \"postgresql://u:$secret_pg@127.0.0.1:1/db\"; };"
	refused "postgres: { conninfo = \"postgresql://u:$secret_pg@127.0.0.1:port/db\"; };"
	refused "postgres: { conninfo = \"postgresql://127.0.0.1:1/db?password=$secret_pg\"; };"
	refused "postgres: { conninfo = \"postgresql://127.0.0.1:1/db?passwd=$secret_pg\"; };"
	refused "redis: { url = \"redis://u:$secret_url@127.0.0.1:1/0\"; };"
	refused "redis: { url = \"redis://u:$secret_url@127.0.0.1:99999/0\"; };"
	refused "redis: { url = \"redis://u:%zz$secret_url@127.0.0.1:1/0\"; };"
	timeout 20 "$standpipe" run --require -c "$T/refused.conf" 2>&1
	refused "source: { urls = [\"wss://u:$secret_url@127.0.0.1\"]; };"
	refused "identity: { plc_url = \"https://u:$secret_url@127.0.0.1\"; };"
)
ok "much is said of wrong ones too" test "${#words}" -gt 5000
none "but not the secret in it" "$(grep 'Secret-of-' <<<"$words" | head -n 5)"
plan
