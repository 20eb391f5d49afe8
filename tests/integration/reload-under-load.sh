#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGHUP while 5000 events a second come in: workers 2 -> 8 -> 1, other connections, a bad file, a storm. Nothing is
# lost, nothing pauses, and the service manager is told.
# runs alone
. "$(dirname "$0")/../lib.sh"

log=$T/standpipe.log

# watch_commits: writes "time packs-acknowledged events-appended" lines, twenty a second, as Redis has it: an
# acknowledgement follows its commit at once.
watch_commits() {
	perl -MIO::Socket::UNIX -MTime::HiRes=time -e '
		my ($path, $stream) = @ARGV;
		my $redis = IO::Socket::UNIX->new($path) or die;
		sub answer {
			my $line = <$redis>;
			my ($kind, $rest) = unpack "a a*", $line =~ s/\r\n//r;
			return [map { answer() } 1 .. $rest] if $kind eq "*";
			return $rest if $kind ne "\$" || $rest < 0;
			read $redis, my $text, $rest + 2;
			return substr $text, 0, -2;
		}
		$| = 1;
		for (;; select undef, undef, undef, 0.05) {
			print $redis "XINFO GROUPS $stream\r\nHGET $stream:meta next_ordinal\r\n";
			my %group = @{answer()->[0]};
			my $appended = answer();
			printf "%.3f %d %d\n", time, $group{"entries-read"} - $group{pending}, $appended;
		}' "$T/redis.sock" "$stream" >"$T/commits" &
	servers+=("$!")
}

# longest FROM TO: seconds between two increases, of the times between and while there was something to commit.
longest() {
	awk -v from="$1" -v to="$2" -v all="$(tail -n 1 "$T/commits" | cut -d " " -f 2)" '
		$1 < from || $1 > to { next }
		!began { began = last = $1; n = $2 }
		n < all && $1 - last > longest { longest = $1 - last }
		$2 != n { n = $2; last = $1 }
		END { printf "%.3f\n", longest }' "$T/commits"
}

# arrived FROM TO: events a second that came into the stream between the times.
arrived() {
	awk -v from="$1" -v to="$2" '
		$1 < from || $1 > to { next }
		!began { began = $1; first = $3 }
		{ ended = $1; last = $3 }
		END { printf "%.0f\n", (ended > began) ? (last - first) / (ended - began) : 0 }' "$T/commits"
}

now() {
	date +%s.%3N
}

# no_pause CLAIM FROM TO LIMIT: none above so many seconds, or, where the machine is slow, above five times what was
# usual for each of them.
no_pause() {
	local pause usual

	pause=$(longest "$2" "$3") usual=$(longest 0 "$quiet")
	ok "$1: no pause above $4 s ($pause s; usual: up to $usual s)" awk -v p="$pause" -v u="$usual" -v l="$4" \
		'BEGIN { exit !(p <= l || p <= 5 * l * u) }'
}

hup() {
	standpipe_conf
	kill -HUP "$standpipe_pid"
}

n_logged() {
	grep -cF -- "$1" "$log"
}

# reloaded N: so many reloads are through.
reloaded() {
	wait_until "[ \"\$(n_logged 'config.reloaded')\" -ge $1 ]" 60
}

n_ready() {
	standpipe status | grep -c "^$1-[0-9]* *ready"
}

redis_start
"$relay" generate --out "$T/generated" --frames 75000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 5000
pg_start
listen=127.0.0.1:$(free_port)
export NOTIFY_SOCKET=$T/notify
perl -MSocket -MIO::Handle -e '
	socket my $s, AF_UNIX, SOCK_DGRAM, 0 or die;
	bind $s, pack_sockaddr_un($ARGV[0]) or die;
	$| = 1;
	print $m =~ tr/\n/ /r, "\n" while defined recv $s, $m, 4096, 0' "$NOTIFY_SOCKET" >"$T/told" &
servers+=("$!")
wait_until '[ -S "$NOTIFY_SOCKET" ]' 10
set_workers='count = 2;'
standpipe_start
wait_until 'grep -q supervisor.healthy "$log"' 60
watch_commits
ok "READY=1 when it is up" wait_until 'grep -q "READY=1" "$T/told"' 10
ok "with a STATUS" wait_until 'grep -q "^STATUS=healthy" "$T/told"' 10
wait_until '[ "$(wc -l <"$T/commits")" -gt 40 ]' 60
quiet=$(now)

# ---- more, and fewer ----

set_workers='count = 8;'
hup
ok "2 -> 8 workers" wait_until '[ "$(pids_of worker | wc -l)" = 8 ]' 30
reloaded 1
ok "all are ready" wait_until '[ "$(n_ready worker)" = 8 ]' 30
set_workers='count = 1;'
hup
ok "8 -> 1" wait_until '[ "$(pids_of worker | wc -l)" = 1 ]' 60
reloaded 2
counted=$(now)
none "every one that left had drained" "$(grep child.exited "$log" | grep -v 'code=0 asked=yes')"

# ---- other connections: each is replaced, the next when the last is ready ----

before=$(pids_of worker; pids_of reader; pids_of keeper)
set_workers='count = 2;'
hup
reloaded 3
PGDATABASE="$PGDATABASE application_name=other" hup
ok "another conninfo: rolling replacement" reloaded 4
none "nobody is left of those before" "$(comm -12 <(sort <<<"$before") <({ pids_of worker; pids_of reader; pids_of keeper; } | sort))"
none "never two at a time" "$(sed -n '/child.replaced/p;/child.ready/p' "$log" | awk '/replaced/ { if (open) print; open = 1 } /ready/ { open = 0 }')"
replaced=$(now)

# ---- a bad file, a storm ----

before=$(pids_of worker; pids_of reader; pids_of keeper)
cp "$T/standpipe.conf" "$T/good.conf"
echo 'workers: { count = 0; };' >"$T/standpipe.conf"
kill -HUP "$standpipe_pid"
ok "a bad file is refused" wait_until '[ "$(n_logged config.kept)" = 1 ]' 20
ok "the service manager is told" wait_until 'grep -q "^READY=1 STATUS=.*not reloaded" "$T/told"' 10
cp "$T/good.conf" "$T/standpipe.conf"
perl -e 'for (1 .. 200) { kill HUP => $ARGV[0]; select undef, undef, undef, 0.01 }' "$standpipe_pid"
ok "200 SIGHUP in two seconds: it is healthy" wait_until 'standpipe status | grep -q "^standpipe healthy"' 30
is "and no process is another" "$(pids_of worker; pids_of reader; pids_of keeper)" "$before"
ok "and the log does not say it each time" test "$(n_logged config.unchanged)" -le 5
stormed=$(now)

# ---- the end ----

wait_committed "$last" 120 || bail "not committed"
ok "0 differences" "$compare" "$T/generated"
no_pause "2 -> 8 -> 1 while $(arrived "$quiet" "$counted") events/s come in" "$quiet" "$counted" 1
no_pause "replacing all, the reader too" "$counted" "$replaced" 2
no_pause "a bad file and a storm" "$replaced" "$stormed" 1
n=$(sed -n 's/^RELOADING=1 MONOTONIC_USEC=\([0-9]*\)$/\1/p' "$T/told" | head -n 1)
ok "RELOADING=1 with the monotonic clock" awk -v n="${n:-0}" '{ exit !(n > 0 && n / 1e6 < $1) }' /proc/uptime
ok "READY=1 after each" test "$(grep -c '^RELOADING' "$T/told")" -ge 5 -a "$(grep -vE '^(WATCHDOG|STATUS=(healthy|degraded))' "$T/told" | tail -n 1 | cut -c 1-7)" = READY=1
ok "WATCHDOG=1 all the time" test "$(grep -c '^WATCHDOG=1' "$T/told")" -ge 10
standpipe_stop
is "TERM exits 0" "$standpipe_status" 0
ok "STOPPING=1" grep -q '^STOPPING=1' "$T/told"
plan
