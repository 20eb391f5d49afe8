#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# standpipe gaps: what a relay did not have any more is one row with its size; ranges across epochs have none.
. "$(dirname "$0")/../lib.sh"

# says TEXT STATUS ARGUMENTS...: the command exits with STATUS and prints TEXT (an extended regular expression).
says() {
	local text=$1 status=$2

	shift 2
	standpipe gaps "$@" >"$T/said" 2>&1
	[ $? = "$status" ] && grep -qE -- "$text" "$T/said" && return
	sed 's/^/said: /' "$T/said"
	return 1
}

redis_start
"$relay" generate --out "$T/early" --frames 300 >"$T/generate.log" 2>&1 || bail "generate failed"
"$relay" generate --out "$T/latest" --frames 300 --seed 3 --seq0 2000 >"$T/generate.log" 2>&1 || bail "generate failed"
"$relay" generate --out "$T/later" --frames 300 --seed 2 --seq0 1000 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
relay_start serve "$T/early.frames"
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
ok "no gaps, no rows" says '^no gaps$' 0
is "as JSON: an empty list" "$(standpipe gaps --json)" "[]"
standpipe_run
ok "the first frames are committed" wait_committed 300 60

relay_stop
relay_start serve "$T/later.frames" --listen "${relay_url#ws://}"
ok "so are the later ones, from the same relay" wait_committed 1300 60
ok "what was between is a row, with its size" says '^1-300 +1-1001 +700 ' 0
is "the only one" "$(wc -l <"$T/said")" 2
is "JSON has numbers" "$(standpipe gaps --json | python3 -c '
import json, sys
(g,) = json.load(sys.stdin)
print(g["after_epoch"], g["after_seq"], g["epoch"], g["first_seq"], g["size"], 0 <= g["age_s"] < 300, g["reason"])')" \
	"1 300 1 1001 700 True OutdatedCursor"

sql "insert into standpipe.gaps values (2, 1, 1300, 5, 'another epoch')" || bail "no row"
ok "across epochs the size is not known" says '^1-1300 +2-5 +unknown .*another epoch$' 0
is "--limit shows the newest" "$(standpipe gaps --limit 1 | tail -n 1 | cut -d ' ' -f 1)" 1-1300
ok "words it does not know are a usage error" says '^usage' 64 all
relay_stop
relay_start serve "$T/latest.frames" --silent --listen "${relay_url#ws://}"
ok "a relay that does not say what it lost: read on from there" wait_committed 2300 60
is "what was between is a row all the same" "$(sql "select after_seq, first_seq, reason from standpipe.gaps
	where epoch = 1 and after_seq = 1300")" "1300|2001|unproven"
standpipe_stop
sed -i 's/user=/port=1 user=/' "$T/standpipe.conf"
ok "without PostgreSQL: exit 69" says 'standpipe gaps: ' 69
plan
