#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 300
# What stands in etc/monitoring: the tools that read it accept it, and the whole chain works. On loopback: standpipe
# and Debian's exporters -> Prometheus -> the rules -> Alertmanager -> a stand-in for Slack. A queue too deep becomes
# one message in less than 30 s, and one more when it is over; a storm becomes one message; every expression of the
# dashboard has data. Intervals and addresses are shortened in copies, the rules are the same.
. "$(dirname "$0")/../lib.sh"

monitoring=$top/etc/monitoring
programs=(prometheus promtool prometheus-alertmanager amtool prometheus-redis-exporter prometheus-postgres-exporter)
for program in "${programs[@]}"; do
	command -v "$program" >/dev/null && continue
	skip "$program is not installed (see etc/packages.debian)"
	plan
done

# ---- the files ----

ok "promtool accepts the configuration and its rules" promtool check config "$monitoring/prometheus.yml"
ok "every alert comes when it must, and only then" promtool test rules "$top/tests/monitoring/rules.test.yml"
none "every alert has such a test, of its coming and of its absence" "$(
	sed -n 's/^ *- alert: //p' "$monitoring/standpipe.rules.yml" | sort -u | while read -r alert; do
		grep -q "alertname: $alert, exp_alerts: \[\]}" "$top/tests/monitoring/rules.test.yml" &&
			grep -qx " *alertname: $alert" "$top/tests/monitoring/rules.test.yml" || echo "$alert"
	done)"
none "every rule names a severity and a way out" "$(awk '
	/- alert:/ { if (name && (!severity || !action)) print name; name = $3; severity = action = 0 }
	/severity: (warning|critical)/ { severity = 1 }
	/action:/ { action = 1 }
	END { if (!severity || !action) print name }' "$monitoring/standpipe.rules.yml")"
none "the limits are the defaults of the configuration" "$(for key in queue.warn_events queue.critical_events queue.warn_risk \
		queue.warn_overflow pending.max_rows; do
	value=$(STANDPIPE_CONFIG=/dev/null "$standpipe" config | sed -n "/^${key%.*}:/,/^};/s/^\t${key#*.} = \([0-9]*\).*/\1/p")
	grep -qE "expr: .*[<>] $value\$" "$monitoring/standpipe.rules.yml" || echo "$key = $value"
done)"
ok "amtool accepts the configuration" amtool check-config "$monitoring/alertmanager.yml"
is "critical goes to one channel" "$(amtool config routes test --config.file="$monitoring/alertmanager.yml" severity=critical 2>/dev/null)" slack-critical
is "a warning to the other" "$(amtool config routes test --config.file="$monitoring/alertmanager.yml" severity=warning 2>/dev/null)" slack-warning

# ---- the chain ----

# start NAME COMMAND...: a server with its own log.
start() {
	local name=$1

	shift
	"$@" >"$T/$name.log" 2>&1 &
	servers+=($!)
}

get() {
	perl -MHTTP::Tiny -e 'my $r = HTTP::Tiny->new(timeout => 10)->get($ARGV[0]); print $r->{content}; exit !$r->{success}' "$1"
}

# Every message in a line: channel, then its title and text.
slack_stand_in='
import http.server, json, sys
class Slack(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = message["attachments"][0]
        print(json.dumps([message["channel"], text["title"], text["text"]]), flush=True)
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Slack).serve_forever()'

# N small events with consecutive seqs from 100001 on, as a recording.
identities() {
	perl -e '
		binmode STDOUT;
		sub text { my $n = length $_[0]; ($n < 24 ? pack("C", 0x60 | $n) : pack("CC", 0x78, $n)) . $_[0] }
		my @now = gmtime(time + 120);
		my $time = sprintf "%04d-%02d-%02dT%02d:%02d:%02d.000Z", $now[5] + 1900, $now[4] + 1, @now[3, 2, 1, 0];
		for my $seq (100001 .. 100000 + $ARGV[0]) {
			my $did = sprintf "did:plc:%024d", $seq % 1000;
			$did =~ tr/0189/abcd/;
			my $frame = "\xa2\x61t" . text("#identity") . "\x62op\x01" .
				"\xa3\x63did" . text($did) . "\x63seq" . pack("CN", 0x1a, $seq) . "\x64time" . text($time);
			print pack("N", length $frame), $frame;
		}' "$1"
}

standpipe_port=$(free_port) prometheus_port=$(free_port) alertmanager_port=$(free_port) slack_port=$(free_port)
redis_port=$(free_port) postgres_port=$(free_port)
alertmanager=http://127.0.0.1:$alertmanager_port prometheus=http://127.0.0.1:$prometheus_port

mkdir "$T/monitoring" "$T/tsdb" "$T/alertmanager"
sed -E "s/_interval: 15s/_interval: 1s/; s/:9464\"/:$standpipe_port\"/; s/:9093\"/:$alertmanager_port\"/;
	s/:9121\"/:$redis_port\"/; s/:9187\"/:$postgres_port\"/" "$monitoring/prometheus.yml" >"$T/monitoring/prometheus.yml"
# only this alert comes in seconds: the others keep their patience and out of the way
sed '/alert: StandpipeQueueDepth/,/labels:/s/for: 1m/for: 1s/' "$monitoring/standpipe.rules.yml" >"$T/monitoring/standpipe.rules.yml"
sed -E "s/(group_wait|group_interval): .*/\1: 1s/; s|slack_api_url_file:.*|slack_api_url: http://127.0.0.1:$slack_port/|" \
	"$monitoring/alertmanager.yml" >"$T/monitoring/alertmanager.yml"

redis_start
pg_start
n_events=110000
identities $n_events >"$T/identities.frames"
relay_start serve "$T/identities.frames"
kill -STOP "$relay_pid"		# nothing comes before the workers stand still
listen=127.0.0.1:$standpipe_port
set_workers='count = 1;'
start slack python3 -c "$slack_stand_in" "$slack_port"
start redis_exporter prometheus-redis-exporter -redis.addr "unix://$T/redis.sock" \
	-web.listen-address "127.0.0.1:$redis_port" -check-streams 'firehose:*'
start postgres_exporter env "DATA_SOURCE_NAME=postgresql:///$PGDATABASE?host=$PGHOST&user=$PGUSER&sslmode=disable" \
	prometheus-postgres-exporter --web.listen-address="127.0.0.1:$postgres_port"
start alertmanager prometheus-alertmanager --config.file="$T/monitoring/alertmanager.yml" --storage.path="$T/alertmanager" \
	--web.listen-address="127.0.0.1:$alertmanager_port" --cluster.listen-address=
start prometheus prometheus --config.file="$T/monitoring/prometheus.yml" --storage.tsdb.path="$T/tsdb" \
	--web.listen-address="127.0.0.1:$prometheus_port"

# query EXPRESSION: its samples, one a line; fails if there is none.
query() {
	promtool query instant "$prometheus" "$1" | grep .
}

# without_data FILE: those of its expressions, one a line, for which Prometheus has no number.
without_data() {
	python3 -c '
import json, sys, urllib.parse, urllib.request
for expression in open(sys.argv[2]).read().splitlines():
    answer = urllib.request.urlopen(sys.argv[1] + "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    if not any(sample["value"][1] != "NaN" for sample in json.load(answer)["data"]["result"]):
        print(expression)' "$prometheus" "$1"
}

messages() {
	cat "$T/slack.log"
}

standpipe_start
ok "all answer Prometheus" wait_until '[ "$(query "sum(up)" | grep -c "=> 3 @")" = 1 ]' 60
kill -STOP $(pids_of worker)
kill -CONT "$relay_pid"
began=$(date +%s%N)
ok "workers that stand still: the queue is too deep" wait_until 'query "max(standpipe_depth_events) > 100000"' 60
deep=$(date +%s%N)
ok "Slack is told" wait_until 'messages | grep StandpipeQueueDepth' 60
told=$(date +%s%N)
took_ms=$(((told - deep) / 1000000))
diag <<<"message $took_ms ms after Prometheus saw the limit crossed, $(((told - began) / 1000000)) ms after the firehose began"
ok "in less than 30 s" test "$took_ms" -lt 30000
ok "in the channel for warnings, with the figure and a way out" \
	grep -qE '^\["#standpipe", "FIRING.*StandpipeQueueDepth\* 1[01][0-9](\.[0-9]+)?k events in Redis wait for PostgreSQL.*workers.count' <(messages)

# ---- the dashboard, while an alert is firing ----

python3 - "$monitoring/grafana-dashboard.json" >"$T/expressions" <<'PYTHON'
import json, sys
dashboard = json.load(open(sys.argv[1]))
names = {v["name"] for v in dashboard["templating"]["list"]}
assert names == {"datasource", "installation"}, names
for expression in [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])] + \
        [a["expr"].removesuffix(" > 0") for a in dashboard["annotations"]["list"]]:
    print(expression.replace("$installation", "main").replace("$__rate_interval", "5m"))
PYTHON
ok "the dashboard has expressions" test "$(wc -l <"$T/expressions")" -ge 40
kill -CONT $(pids_of worker)
ok "every expression of the dashboard has data" wait_until '
	without_data "$T/expressions" >"$T/empty" && [ ! -s "$T/empty" ]' 60 || diag <"$T/empty"

# ---- the end ----

ok "everything is committed" wait_committed $((100000 + n_events)) 60
ok "Slack is told that it is over" wait_until 'messages | grep -E "RESOLVED.*over: StandpipeQueueDepth"' 60
is "one message for each" "$(messages | grep -c 'FIRING.*StandpipeQueueDepth') $(messages | grep -c 'RESOLVED.*StandpipeQueueDepth')" "1 1"

diag < <(messages)

# ---- a storm ----

ok "Alertmanager takes 30 critical alerts and 10 warnings" python3 -c '
import json, sys, urllib.request
alerts = [{"labels": {"alertname": f"StandpipeStorm{i}", "installation": "storm",
                      "severity": "critical" if i < 30 else "warning"}} for i in range(40)]
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/api/v2/alerts", json.dumps(alerts).encode(),
                                              {"Content-Type": "application/json"}))' "$alertmanager"
ok "Slack gets a message" wait_until 'messages | grep "standpipe storm"' 30
ok "the warnings are held back" wait_until '[ "$(amtool --alertmanager.url="$alertmanager" alert query -i -o json \
	installation=storm severity=warning | grep -o "\"state\":\"suppressed\"" | wc -l)" = 10 ]' 20
is "it is one message, with all that is critical" \
	"$(messages | grep "standpipe storm" | sed -E 's/.*FIRING \(([0-9]+)\) critical.*/\1/')" 30
ok "a silence holds all of it back" amtool --alertmanager.url="$alertmanager" silence add installation=storm \
	--duration=1h --comment=test --author=test
is "for as long as it lasts" "$(amtool --alertmanager.url="$alertmanager" alert query installation=storm | grep -c Storm)" 0
plan
