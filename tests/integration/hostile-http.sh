#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 300
# Hostile HTTP: slow clients, ten thousand connections, headers without end, wrong verbs, pipelining, half-closed
# sockets. The pipeline does not notice, the monitor stays the same process and does not grow.
# runs alone
. "$(dirname "$0")/../lib.sh"
standpipe=$build/tests/fault/standpipe-faults # the program, but its descriptors may be looked at

# talk BYTES [half]: sends them (perl's escapes), half: and closes its side; prints what comes until the end.
talk() {
	perl -MIO::Socket::INET -e '
		$SIG{PIPE} = "IGNORE";
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 5) or exit 1;
		print $s eval "\"$ARGV[1]\"";
		$s->flush;
		shutdown $s, 1 if $ARGV[2];
		alarm 20;
		local $/;
		print <$s> // ""' "$listen" "$@"
}

answers() {
	[ "$(talk 'GET /healthz HTTP/1.0\r\n\r\n' | tail -n 1)" = ok ]
}

# attack SECONDS: everything at once; prints how many connections were made.
attack() {
	nice perl -MIO::Socket::INET -MTime::HiRes=time -e '
		my ($address, $seconds) = @ARGV;
		my ($host, $port) = split /:/, $address;
		my $to = pack_sockaddr_in($port, inet_aton($host));
		$SIG{PIPE} = "IGNORE";
		my @hostile = ("GET / HTTP/1.1\r\nX: " . "a" x 1_000_000, "BREW / HTTP/1.1\r\n\r\n", "\0" x 4096,
			"GET /metrics HTTP/1.1\r\n\r\n" x 200, "GET /../../etc/passwd HTTP/1.1\r\n\r\n",
			"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" . "x" x 100000, "GET /status.json HTTP/1.1\r\n",
			"GET / HTTP/9.9\r\n\r\n", "\r\n" x 5000, "");
		my ($n, @held, @slow) = (0);
		for (my $end = time + $seconds; time < $end; $n++) {
			socket my $s, PF_INET, SOCK_STREAM, 0 or next;
			$s->blocking(0);
			connect $s, $to;
			syswrite $s, $hostile[$n % @hostile];
			shutdown $s, 1 if $n % 3 == 0;
			push @{$n % 50 ? \@held : \@slow}, $s;
			shift @held if @held > 800;
			shift @slow if @slow > 100;
			if ($n % 100 == 0) {
				syswrite $_, "G" for @slow;
				select undef, undef, undef, 0.05;
			}
		}
		print "$n\n"' "$listen" "$1"
}

# used PIDS: microseconds of CPU.
used() {
	awk '{ sub(/.*\) /, ""); n += $12 + $13 } END { print n * 10000 }' $(printf '/proc/%s/stat ' $1)
}

# look: sets now_ms, n_committed, n_cpu (of reader and workers), n_monitor_cpu and p99 (source to commit, in ms, of the
# last second). Takes a second.
look() {
	local json

	json=$(standpipe status --json)
	now_ms=$(date +%s%3N)
	n_committed=$(sed -E 's/.*"events_committed":([0-9]+).*/\1/' <<<"$json")
	n_cpu=$(used "$(pids_of reader) $(pids_of worker)")
	n_monitor_cpu=$(used "$monitor")
	p99=$(sed -E 's/.*"total":[^}]*"p99_seconds":([0-9.]+).*/\1/' <<<"$json" | awk '{ printf "%.0f", $1 * 1000 }')
}

# window SECONDS [attack]: adds events committed, CPU for them, the monitor's CPU and time to quiet_* or attacked_*.
# The second in which an attack begins, or after which one has ended, does not count.
window() {
	local kind=${2:+attacked} began_ms events cpu monitor_cpu

	kind=${kind:-quiet}
	if [ "$kind" = attacked ]; then
		attack $(($1 + 2)) >"$T/attack" &
		attacker=$!
	fi
	look
	began_ms=$now_ms events=$n_committed cpu=$n_cpu monitor_cpu=$n_monitor_cpu
	perl -e 'select undef, undef, undef, $ARGV[0] - 1' "$1"
	look
	eval "${kind}_events=\$((${kind}_events + n_committed - events))
		${kind}_cpu=\$((${kind}_cpu + n_cpu - cpu))
		${kind}_monitor=\$((${kind}_monitor + n_monitor_cpu - monitor_cpu))
		${kind}_ms=\$((${kind}_ms + now_ms - began_ms))
		${kind}_p99+=\" $p99\""
	if [ "$kind" = attacked ]; then
		wait "$attacker"
		n_connections=$((n_connections + $(cat "$T/attack")))
	fi
}

# undisturbed: are rate and CPU per event the same with and without the attack? On a machine that does other things as
# well a few windows may mislead: then more of them are added, up to four times as many.
undisturbed() {
	quiet_events=0 quiet_cpu=0 quiet_ms=0 quiet_monitor=0 quiet_p99=''
	attacked_events=0 attacked_cpu=0 attacked_ms=0 attacked_monitor=0 attacked_p99=''
	for n_windows in $(seq 12); do
		window 3
		window 3 attack
		read -r was rate cost share < <(awk -v qe="$quiet_events" -v qc="$quiet_cpu" -v qm="$quiet_ms" \
			-v ae="$attacked_events" -v ac="$attacked_cpu" -v am="$attacked_ms" -v m="$attacked_monitor" 'BEGIN {
				printf "%.0f %.3f %.3f %.1f\n", 1000 * qe / qm, (ae / am) / (qe / qm), (ac / ae) / (qc / qe), m / am / 10 }')
		echo "# of $was events/s: rate x $rate, CPU per event x $cost, monitor $share % of a processor;" \
			"p99 source to commit in ms: quiet$quiet_p99, attacked$attacked_p99"
		[ "$n_windows" -lt 3 ] || ! awk -v r="$rate" -v c="$cost" 'BEGIN { exit !(r >= 0.95 && r <= 1.05 && c <= 1.25) }' ||
			return 0
	done
	return 1
}

appended_events() {
	redis hget "$stream:meta" next_ordinal
}

redis_start
per_second=${1:-2000}
relay_start generate --unsigned --eps "$per_second"
pg_start
listen=127.0.0.1:$(free_port)
standpipe_start
wait_until answers 60 || bail "the monitor does not answer"
wait_until '[ "$(appended_events)" -gt 1000 ]' 60
monitor=$(pids_of monitor)
n_connections=0
rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$monitor/status")

undisturbed
ok "rate and cost of events are those without an attack (rate x $rate, CPU per event x $cost)" test $? = 0
ok "the monitor took less than a tenth of a processor ($share %)" awk -v s="$share" 'BEGIN { exit !(s < 10) }'
for _ in $(seq 30); do
	[ "$n_connections" -gt 10000 ] || n_connections=$((n_connections + $(attack 2)))
done
ok "of more than 10000 connections ($n_connections)" test "$n_connections" -gt 10000
is "the monitor is the same process" "$(pids_of monitor)" "$monitor"
grown=$(($(awk '/^VmHWM/ { print $2 }' "/proc/$monitor/status") - rss))
ok "it grew by less than 16 MB ($grown kB)" test "$grown" -lt 16384
ok "and has no more descriptors than its limit" test "$(ls "/proc/$monitor/fd" | wc -l)" -le 96
ok "it answers again before long" wait_until answers 30
none "no other process ended" "$(grep child.exited "$T/standpipe.log")"

# ---- one at a time ----

none "a header of 1 MB gets no page" "$(talk 'GET / HTTP/1.1\r\nX: @{[q(a) x 1000000]}\r\n\r\n' | grep -F 200)"
is "of pipelined requests the first is answered" "$(talk '@{[qq(GET /healthz HTTP/1.1\r\n\r\n) x 50]}' | grep -c '^HTTP')" 1
is "who closes its side after the request gets its answer" "$(talk 'GET /healthz HTTP/1.1\r\n\r\n' half | tail -n 1)" ok
is "who closes its side before it gets none" "$(talk 'GET /healthz HTT' half | grep -c ' 200 ')" 0
is "NUL bytes get none" "$(talk '\0\0\0\0\r\n\r\n' | grep -c ' 200 ')" 0
is "nor does a path upwards" "$(talk 'GET /../healthz HTTP/1.0\r\n\r\n' | grep -c ' 200 ')" 0
ok "after that it answers" answers
is "and still is the same process" "$(pids_of monitor)" "$monitor"
before=$(appended_events)
ok "what came meanwhile is committed" wait_until '[ "$(sql "select seq from standpipe.watermark")" -ge "$before" ]' 60
standpipe_stop
is "TERM exits 0" "$standpipe_status" 0
plan
