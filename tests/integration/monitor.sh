#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The monitor: every path, what it refuses, what its death and its address change (nothing for the
# pipeline); and the alarm on the depth of the stream, which needs no monitor.
. "$(dirname "$0")/../lib.sh"

# code REQUEST: the status of the answer.
code() {
	http "$@" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p'
}

# body REQUEST: what follows the headers.
body() {
	http "$@" | sed '1,/^\r*$/d'
}

header() {
	http "$2" | tr -d '\r' | sed -n "1,/^$/s/^$1: //Ip"
}

# total NAME: the sum of a metric over all children.
total() {
	body 'GET /metrics' | awk -v name="$1" '{ sub(/[{].*/, "", $1) } $1 == name { n += $NF } END { print n + 0 }'
}

# sample NAME{LABELS}: its value in $T/metrics.
sample() {
	awk -v name="$1" '$1 == name { print $2 }' "$T/metrics"
}

# alarm NAME: its level now.
alarm() {
	body 'GET /metrics' >"$T/metrics"
	sample "standpipe_alarm_level{alarm=\"$1\"}"
}

# keys: the names in a JSON document, with their paths; elements of arrays count as one.
keys() {
	perl -MJSON::PP -0ne '
		my %seen;
		my @work = (["", decode_json $_]);
		while (my $w = shift @work) {
			my ($path, $v) = @$w;
			$seen{$path} = 1;
			push @work, map { ["$path.$_", $v->{$_}] } keys %$v if ref $v eq "HASH";
			push @work, map { ["$path\[]", $_] } @$v if ref $v eq "ARRAY";
		}
		print map { "$_\n" } grep { !/reasons|pending.top/ } sort keys %seen'
}

hup() {
	standpipe_conf
	kill -HUP "$standpipe_pid"
}

n_logged() {
	grep -cF -- "$1" "$T/standpipe.log"
}

# The pipeline's processes.
pipeline() {
	{ pids_of reader; pids_of worker; pids_of keeper; } | sort -n | tr '\n' ' '
}

redis_start
"$relay" generate --out "$T/generated" --frames 24000 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 1500
pg_start
listen=127.0.0.1:$(free_port)
set_queue='check_interval = 0.2; warn_events = 400; critical_events = 4000;'
standpipe_start
ok "the monitor answers" wait_until '[ "$(code "GET /healthz")" = 200 ]' 30
is "it steps back behind the pipeline: nice 10, SCHED_BATCH" \
	"$(awk '{ sub(/.*\) /, ""); print $17, $39 }' "/proc/$(pids_of monitor)/stat")" "10 3"
ok "readyz: 200 once frames flow" wait_until '[ "$(code "GET /readyz")" = 200 ]' 30
ok "events are committed" wait_until '[ "$(total standpipe_events_committed_total)" -gt 0 ]' 30

# ---- the alarm ----

before=$(pipeline)
n=$(n_logged "warning queue.depth ")
kill -STOP $(pids_of worker)
ok "workers that stand still: a warning" wait_until '[ "$(n_logged "warning queue.depth ")" -gt "$n" ]' 10
ok "then an error" wait_until '[ "$(n_logged "error queue.depth_critical ")" -ge 1 ]' 20
standpipe status >"$T/status.out"
is "status exits 1" $? 1
ok "and shows it" grep -q '^redis .*(critical)' "$T/status.out"
ok "and why" grep -q 'deeper than queue.critical_events' "$T/status.out"
ok "so does the monitor" wait_until '[ "$(alarm depth)" = 2 ]' 5
n=$(n_logged "notice queue.depth_normal ")
set_queue='check_interval = 0.1; warn_events = 1000000; critical_events = 2000000;'
hup
ok "higher limits apply at once" wait_until '[ "$(n_logged "notice queue.depth_normal ")" -gt "$n" ]' 10
n=$(n_logged "warning queue.depth ")
set_queue='check_interval = 0.2; warn_events = 1; critical_events = 2000000;'
hup
ok "lower ones too" wait_until '[ "$(n_logged "warning queue.depth ")" -gt "$n" ]' 10
is "no process was replaced" "$(pipeline)" "$before"
n=$(n_logged "notice queue.depth_normal ")
set_queue='check_interval = 0.2; warn_events = 400; critical_events = 4000;'
hup
kill -CONT $(pids_of worker)
ok "the workers go on: the alarm is over" wait_until '[ "$(n_logged "notice queue.depth_normal ")" -gt "$n" ]' 30
ok "also in the metrics" wait_until '[ "$(alarm depth)" = 0 ]' 5

# ---- death ----

victim=$(pids_of monitor)
committed_before=$(total standpipe_events_committed_total)
kill -KILL "$victim"
ok "a killed monitor comes back" wait_until '[ "$(code "GET /healthz")" = 200 ]' 20
ok "as another process" test "$(pids_of monitor)" != "$victim"
is "the pipeline's are the same" "$(pipeline)" "$before"
ok "counters went on from where they were" test "$(total standpipe_events_committed_total)" -ge "$committed_before"
ok "the restart is counted" test "$(body 'GET /metrics' |
	sed -n 's/^standpipe_child_restarts_total{role="monitor",slot="0"} //p')" = 1
ok "every frame is committed" wait_committed "$last" 60
ok "0 differences" "$compare" "$T/generated"
ok "values moved" test "$(total standpipe_events_committed_total)" -gt "$committed_before"

# ---- paths ----

body 'GET /metrics' >"$T/metrics"
is "metrics are text 0.0.4" "$(header content-type 'GET /metrics')" 'text/plain; version=0.0.4; charset=utf-8'
# name, kind and unit of every row of the table
none "every counter of the table is there, with its type" "$(
	sed -nE 's/^\tX\(([a-z_]+), [a-z]+, ([a-z]+), "([a-z]+)".*/\1 \2 \3/p' "$top/src/base/stats.h" |
	while read -r name kind unit; do
		case $unit in
		microseconds) name=${name%_us}_seconds ;;
		timestamp) name=${name%_time_us}_timestamp_seconds ;;
		thousandths) name=${name}_ratio ;;
		esac
		case $unit:$name in bytes:bytes_*) name=${name#bytes_}_bytes ;; esac
		[ "$kind" != counter ] || name=${name}_total
		grep -qx "# TYPE standpipe_$name $kind" "$T/metrics" &&
			grep -qE "^standpipe_$name\{role=\"[a-z]+\",slot=\"0\"\} [0-9.]+$" "$T/metrics" || echo "$name"
	done)"
is "as many as the table has" "$(grep -c '^# TYPE' "$T/metrics")" \
	$(($(grep -cE '^	X\(.*(counter|gauge),' "$top/src/base/stats.h") + 13))
for stage in receive append commit total; do
	is "stage $stage: every committed event is in its histogram" "$(sample "standpipe_stage_latency_seconds_count{stage=\"$stage\"}")" \
		"$(sample "standpipe_stage_latency_seconds_bucket{stage=\"$stage\",le=\"+Inf\"}")"
	ok "stage $stage: it took time" test "$(sample "standpipe_stage_latency_seconds_count{stage=\"$stage\"}")" -gt 1000
done
for stage in reader commit; do
	ok "lag of $stage" grep -qE "^standpipe_lag_seconds\{stage=\"$stage\"\} -?[0-9]+\.[0-9]+$" "$T/metrics"
done
ok "children by state" grep -qx 'standpipe_children{role="worker",state="ready"} 2' "$T/metrics"
ok "the version" grep -q '^standpipe_build_info{version="[0-9.]*"} 1$' "$T/metrics"
is "frames received" "$(total standpipe_frames_received_total)" \
	"$(standpipe status --json | sed -E 's/.*"frames_received":([0-9]+).*/\1/')"
if command -v promtool >/dev/null; then
	none "promtool finds nothing" "$(promtool check metrics <"$T/metrics" 2>&1)"
else
	skip "promtool (package prometheus) is not installed"
fi

body 'GET /status.json' >"$T/status.json"
standpipe status --json >"$T/status.command"
is "status.json has the shape of status --json" "$(keys <"$T/status.json")" "$(keys <"$T/status.command")"
is "and its type" "$(header content-type 'GET /status.json')" application/json
is "healthz says ok" "$(body 'GET /healthz')" ok
body 'GET /' >"$T/page.html"
ok "the page is HTML" grep -q '</html>' "$T/page.html"
none "and loads nothing from elsewhere" "$(grep -nE '(src|href)="(https?:)?//|@import|url\(' "$T/page.html")"
is "a query does not matter" "$(code 'GET /healthz?x=1')" 200

# ---- what is refused ----

is "HEAD is answered" "$(code 'HEAD /metrics')" 200
is "without a body" "$(body 'HEAD /metrics' | wc -c)" 0
ok "but with its length" test "$(header content-length 'HEAD /metrics')" -gt 1000
is "an unknown path is a 404" "$(code 'GET /nothing')" 404
is "so is one that only begins like a path" "$(code 'GET /metrics/..')" 404
is "POST is a 405" "$(code 'POST /metrics' $'Content-Length: 0\r\n')" 405
is "which names what is allowed" "$(header allow 'DELETE /metrics')" 'GET, HEAD'
is "an unknown verb is a 501" "$(code 'BREW /')" 501
ok "a body is refused" test "$(code 'GET /healthz' $'Content-Length: 5\r\n\r\nhello')" != 200
ok "a header of more than 8 KB is refused" test "$(code 'GET /healthz' "X: $(printf '%09000d' 0)"$'\r\n')" != 200
ok "after all that it still is the same process" test "$(n_logged 'child.started role=supervisor child=monitor-0')" = 2

# ---- many connections ----

coproc idle { exec perl -MIO::Socket::INET -e '
	my ($host, $port) = split /:/, $ARGV[0];
	my @s = map {
		socket my $s, PF_INET, SOCK_STREAM, 0 or die;
		$s->blocking(0);
		connect $s, pack_sockaddr_in($port, inet_aton($host));
		$s } 1 .. 200;
	$| = 1;
	print scalar(@s), "\n";
	<STDIN>' "$listen"; }
servers+=("$idle_PID")
read -r n_idle <&"${idle[0]}"
# nobody may look into the process, so the kernel is asked: connections of its port that neither side has ended;
# those without an inode have not been accepted
connections() {
	awk -v port="$(printf %04X "${listen##*:}")" -v accepted="$1" '
		$2 ~ ":" port "$" && $4 == "01" && accepted == ($10 != 0) { n++ }
		END { print n + 0 }' /proc/net/tcp
}
ok "of $n_idle clients that say nothing 64 are kept" wait_until '[ "$(connections 1)" = 64 ]' 4
ok "and no more wait for a place" test "$(connections 0)" -le 65
ok "and they do not keep a new one out for longer than the timeout" \
	wait_until '[ "$(code "GET /healthz")" = 200 ]' 8
ok "it was full" grep -q 'monitor.full.*connections=64' "$T/standpipe.log"
echo >&"${idle[1]}"

ok "a client that drips is ended all the same" timeout 20 perl -MIO::Socket::INET -e '
	my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 5) or exit 1;
	$SIG{PIPE} = "IGNORE";
	print $s "GET /healthz HTTP/1.1\r\nX: ";
	$s->autoflush(1);
	for (;;) {
		print $s "x";
		vec(my $bits = "", fileno $s, 1) = 1;
		exit 0 if select($bits, undef, undef, 0.5) && !sysread $s, my $answer, 1;
	}' "$listen"

# ---- source and address ----

relay_stop
ok "without a source: readyz is a 503" wait_until '[ "$(code "GET /readyz")" = 503 ]' 20
ok "and says why" test "$(body 'GET /readyz')" = "the source is not connected"
is "healthz stays 200" "$(code 'GET /healthz')" 200

before=$(pipeline)
taken=127.0.0.1:$(free_port)
coproc holder { exec perl -MIO::Socket::INET -e '
	my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 1, ReuseAddr => 1) or die;
	$| = 1;
	print "held\n";
	<STDIN>' "$taken"; }
servers+=("$holder_PID")
read -r _ <&"${holder[0]}"
old=$listen listen=$taken
hup
ok "an address in use is named" wait_until 'grep -q "monitor.not_listening.*$taken.*in use" "$T/standpipe.log"' 20
ok "status says what the monitor waits for" wait_until 'standpipe status | grep -q "monitor-0 waits: http.listen $taken"' 10
ok "the old address is given up" test -z "$(listen=$old code 'GET /healthz')"
echo >&"${holder[1]}"
ok "when it is free the monitor is there" wait_until '[ "$(code "GET /healthz")" = 200 ]' 20
is "said once" "$(n_logged monitor.not_listening)" 1
listen=''
hup
ok "http.listen \"\": no monitor" wait_until '[ -z "$(pids_of monitor)" ]' 20
is "the pipeline did not notice any of it" "$(pipeline)" "$before"
listen=$taken
hup
ok "and back" wait_until '[ "$(code "GET /healthz")" = 200 ]' 20
standpipe_stop
is "TERM exits 0" "$standpipe_status" 0
is "the monitor goes last" "$(grep child.exited "$T/standpipe.log" | tail -n 1 | grep -o 'child=monitor-0.*asked=yes' | sed 's/ pid=[0-9]*//')" \
	"child=monitor-0 code=0 asked=yes"
plan
