# SPDX-License-Identifier: MIT
# The file of figures (tests/bench/servers.sh) as the README shows it.
$1 == "value" { value[$2] = $3; next }
$2 == "seconds" { seconds[$1] = $3 }
$2 == "events" { events[$1] = $3 }
$2 == "cpu" { cpu[$1, $3] = $4; if ($3 != "relay") { sum[$1] += $4; kernel[$1] += $5 } }
$2 == "rss" { rss[$1, $3] = $5 }
$2 == "ms" { n[$1, $3] = $4; p50[$1, $3] = $5; p99[$1, $3] = $6; p999[$1, $3] = $7 }

function has(phase) { return phase in seconds }
function speed(phase) { return has(phase) && seconds[phase] > 0 ? int(events[phase] / seconds[phase]) : "" }
function cell(v) { return sprintf(" %12s", v == "" ? "-" : v) }
function us(phase, who) { return (phase, who) in cpu ? sprintf("%.2f", cpu[phase, who]) : "" }

# A table of phases: their rates and what each process spent.
function phases(title, list,    p, k, i, j, who, line) {
	k = split(list, p, " ")
	line = ""
	for (i = 1; i <= k; i++) line = line cell(p[i])
	printf "\n%-20s%s\n", title, line
	line = ""
	for (i = 1; i <= k; i++) line = line cell(speed(p[i]))
	printf "%-20s%s\n", "events/s", line
	for (j = 1; j <= n_who; j++) {
		line = ""
		for (i = 1; i <= k; i++) line = line cell(us(p[i], who_of[j]))
		printf "%-20s%s\n", "  " who_of[j], line
	}
	line = ""
	for (i = 1; i <= k; i++) line = line cell(sum[p[i]] ? sprintf("%.2f", sum[p[i]]) : "")
	printf "%-20s%s\n", "  all but the relay", line
	line = ""
	for (i = 1; i <= k; i++) line = line cell(sum[p[i]] ? sprintf("%.2f", kernel[p[i]]) : "")
	printf "%-20s%s\n", "  of it, the kernel", line
}

# "a" if measured, for the list of phases.
function present(list,    p, k, i, out) {
	k = split(list, p, " ")
	for (i = 1; i <= k; i++) if (has(p[i])) out = out (out ? " " : "") p[i]
	return out
}

function show(text, key, unit) { if (key in value && value[key] != "") printf "%-58s %s%s\n", text, value[key], unit }

function latency(rate) {
	if (!(("latency_" rate, "received") in n)) return
	printf "%-20s%s%s%s%s%s\n", rate "/s", cell(p50["latency_" rate, "received"]), cell(p99["latency_" rate, "received"]),
		cell(p999["latency_" rate, "received"]), cell(p50["latency_" rate, "released"]), cell(p99["latency_" rate, "released"])
}

END {
	n_who = split("reader redis worker keeper supervisor postgres-backends postgres-others client relay", who_of, " ")
	list = present("ceiling_a ceiling_b fill_2 drain_1 drain_2 drain_4 ingest_1 ingest_2 ingest_4")
	if (list) phases("CPU-us per event", list)
	if (list) print ""
	show("ceiling: the same rows by bare libpq, 2 connections", "ceiling_events_per_s", " events/s")
	show("drain score, 2 workers (drain over ceiling)", "drain_score", "")
	show("ingest score, 2 workers (ingest over ceiling)", "ingest_score", "")
	show("decoding, CPU-us per event", "decode_us", "")
	show("decoding, if it hashed no block", "decode_unhashed_us", "")
	show("reader and worker, with verify = \"blocks\"", "verify_blocks_us", "")
	show("reader and worker, with verify = \"full\"", "verify_full_us", "")
	show("events that one core verifies fully", "verify_events_per_core_s", "/s")
	show("peak memory of our processes, 2 workers, ingest", "rss_mb", " MB")
	if (("latency_2000", "received") in n) {
		printf "\n%-20s%s%s%s%s%s\n", "milliseconds", cell("commit p50"), cell("p99"), cell("p99.9"), cell("release p50"), cell("p99")
		latency(500); latency(2000); latency(5000)
	}
	if ("buffer_events" in value) print ""
	show("events loaded, then drained", "buffer_events", "")
	show("records compared afterwards", "buffer_records_compared", "")
	show("of them missing, doubled or different", "buffer_differences", "")
	show("Redis bytes per event", "redis_bytes_per_event", "")
	show("events in 2 GB of Redis", "events_in_2gb", "")
	list = present("buffer_fill buffer_drain")
	if (list) phases("CPU-us per event", list)
	list = present("fresh_1M fresh_5M fresh_10M fresh_20M again_1M replay_20M")
	if (list) phases("likes in the table", list)
	show("cost at 20 M likes over cost at 1 M (mean of both)", "growth_cost_ratio", "")
	show("rate of stored events over rate of fresh ones", "replay_ratio", "")
	list = present("gaps hot")
	if (list) phases("CPU-us per event", list)
	if ("counted_0_us" in value) {
		printf "\n%-20s%s%s%s%s\n", "likes of a post", cell("counted"), cell("kept"), cell("counted, hot"), cell("kept, hot")
		printf "%-20s%s%s%s%s\n", "events/s", cell(value["counted_0_events_per_s"]), cell(value["kept_0_events_per_s"]),
			cell(value["counted_30_events_per_s"]), cell(value["kept_30_events_per_s"])
		printf "%-20s%s%s%s%s\n", "  postgres-backends", cell(value["counted_0_us"]), cell(value["kept_0_us"]),
			cell(value["counted_30_us"]), cell(value["kept_30_us"])
	}
	show("likes of the hottest post", "counts_hot_likes", "")
	show("its counts, when asked", "counts_hot_ms", " ms")
	show("those of the 10 newest posts, when asked", "counts_ten_ms", " ms")
	show("likes of the 10 newest posts from the kept table", "kept_ten_ms", " ms")
	if ("rest_rss_mb" in value) print ""
	show("memory of our processes at rest", "rest_rss_mb", " MB")
	show("with 10 M pending parents, at rest", "pending_rss_mb", " MB")
	show("with 10 M pending parents, peak under load", "pending_peak_rss_mb", " MB")
	show("restart with 10 M pending parents, until committing again", "restart_s", " s")
	print "\nNot measured: TLS from the source, autovacuum on tables of this size over hours, more than 2 cores."
}
