#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every query of README.md works as it stands there, on a generated firehose, and shows rows.
. "$(dirname "$0")/../lib.sh"

# Statements of README's sql blocks, each behind its comment, separated by NUL.
statements() {
	awk '
		/^```sql/ { inside = 1; next }
		/^```/ { inside = 0 }
		!inside || /^$/ { next }
		{ text = text $0 "\n" }
		/;$/ { printf "%s%c", text, 0; text = "" }
		END { if (text != "") { printf "%s%c", text, 0 } }' "$top/README.md"
}

"$relay" generate --out "$T/generated" --frames 5000 --late 10 --never 5 --odd=5 --start now >"$T/generate.log" 2>&1 ||
	bail "generate failed"
pg_start
redis_start
relay_start serve "$T/generated.frames" --bad-frame 2000
standpipe_start
ok "every frame is committed" wait_committed "$(last_seq "$T/generated.frames")" 60
sql "insert into standpipe.gaps values (1, 1, 5, 9, 'an example')"
mapfile -d '' -t queries < <(statements)
ok "there are at least ten queries" test ${#queries[@]} -ge 10
export PGOPTIONS='-c statement_timeout=5s'
for query in "${queries[@]}"; do
	name=$(sed -n '1s/^-- //p' <<<"$query")
	rows=$(psql -XAt -v ON_ERROR_STOP=1 -c "$query" 2>&1)
	status=$?
	ok "it runs: ${name:-$query}" test $status -eq 0
	ok "and shows something" test -n "$rows" -a "${rows#ERROR}" = "$rows"
	printf '%s\n' "$rows" | head -n 3 | cut -c 1-160 | diag
done
plan
