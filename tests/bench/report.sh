# SPDX-License-Identifier: MIT
# The figures as a table (the block in the README) or as JSON (bash, to be sourced).

machine() {
	local cpu memory

	cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	memory=$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)
	. /etc/os-release
	echo "$(nproc) CPUs ($cpu), $memory GB, $PRETTY_NAME"
}

settings() {
	echo "foreign keys and pending queue on, synchronous_commit=on, fsync=on, AOF everysec, ${pg_bench[*]:0:2}"
}

as_table() {
	echo "standpipe $("$standpipe" --version | sed -n '1s/^[^0-9]*\([0-9][^ ,]*\).*/\1/p'), $(date -u +%Y-%m-%d), $(machine)"
	settings
	awk -f "$top/tests/bench/table.awk" "$figures"
}

# Everything that was measured: the values at the top, the phases with their processes below.
as_json() {
	awk -v machine="$(machine)" -v settings="$(settings)" -v date="$(date -u +%Y-%m-%dT%H:%M:%SZ)" '
		function q(s) { gsub(/["\\]/, "\\\\&", s); return "\"" s "\"" }
		function put(phase, s) { body[phase] = body[phase] (body[phase] ? ", " : "") s; if (!(phase in seen)) { seen[phase] = 1; order[++n] = phase } }
		$1 == "value" { if (!($2 in value)) names[++n_values] = $2; value[$2] = $3 == "" ? "null" : $3; next }
		$2 == "seconds" || $2 == "events" || $2 == "packs" || $2 == "pack_bytes" {
			put($1, q($2) ": " $3)
			if ($2 == "seconds") s[$1] = $3; else if ($2 == "events" && s[$1]) put($1, q("events_per_s") ": " int($3 / s[$1]))
			next
		}
		$2 == "ms" { put($1, q($3) ": {" q("n") ": " $4 ($5 == "" ? "" : ", \"p50_ms\": " $5 ", \"p99_ms\": " $6 ", \"p999_ms\": " $7) "}"); next }
		$2 == "cpu" {
			cpu[$1] = cpu[$1] (cpu[$1] ? ", " : "") q($3) ": " $4
			kernel[$1] = kernel[$1] (kernel[$1] ? ", " : "") q($3) ": " $5
			put($1, "")
			next
		}
		$2 == "rss" { rss[$1] = rss[$1] (rss[$1] ? ", " : "") q($3) ": " $5; next }
		END {
			for (i = 1; i <= n_values; i++) top = top ", " q(names[i]) ": " value[names[i]]
			printf "{\"date\": %s, \"machine\": %s, \"settings\": %s%s, \"phases\": {", q(date), q(machine), q(settings), top
			for (i = 1; i <= n; i++) {
				text = body[order[i]]; gsub(/(, )+/, ", ", text); sub(/, $/, "", text)
				if (cpu[order[i]]) text = text ", \"cpu_us_per_event\": {" cpu[order[i]] "}"
				if (kernel[order[i]]) text = text ", \"kernel_us_per_event\": {" kernel[order[i]] "}"
				if (rss[order[i]]) text = text ", \"peak_rss_kb\": {" rss[order[i]] "}"
				printf "%s%s: {%s}", (i > 1 ? ", " : ""), q(order[i]), text
			}
			print "}}"
		}' "$figures"
}
