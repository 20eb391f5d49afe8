#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Our own instructions per event of reading, packing and unpacking, counted by callgrind, against what
# instructions.recorded holds: within 10 % either way. After a change that is meant to move them:
# tests/unit/instructions.sh --record
# They say nothing about another compiler, architecture or optimization: there the test is skipped.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${STANDPIPE_BUILD:-$top/build}
recorded=$top/tests/unit/instructions.recorded
. "$top/tests/tap.sh"
frames=3000
work=$(mktemp -d /tmp/standpipe-test.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT


# What the counts depend on besides the sources.
compiler() {
	echo "$(cc -dumpfullversion) $(uname -m) $(grep -o -- ' -O[0-9a-z]* ' "$build/compile_commands.json" | sort -u | tr -d ' \n')"
}

# Instructions of the program's own code for all frames up to and with a step. What libraries spend is left out:
# OpenSSL and libc choose their code by the processor, and hashing would drown the rest.
collected() {
	valgrind -q --tool=callgrind --callgrind-out-file="$work/out" \
		"$build/tests/bench/tool/bench-tool" steps "$1" "$work/recording.frames" >"$work/log" 2>&1 &&
		awk '
			/^c?ob=/ {
				id = substr($1, index($1, "=") + 1)
				if (NF > 1) own[id] = $2 ~ /bench-tool$/	# named once, wherever it comes first
				if (/^ob=/) here = own[id]
			}
			/^calls=/ { getline; next }
			/^[0-9+*-]/ && here { n += $2 }
			END { printf "%d", n }' "$work/out"
}

counts() {
	local step before now

	before=$(collected read)
	for step in decode pack unpack; do
		now=$(collected "$step")
		echo "$step $(((now - before) / frames))"
		before=$now
	done
}

if ! command -v valgrind >/dev/null; then
	skip "no valgrind here"
	plan
fi
"$build/tests/relay/standpipe-relay" generate --frames "$frames" --out "$work/recording" 2>/dev/null
now=$(compiler)
if [ "${1-}" = --record ]; then
	{ echo "# instructions per event; written by tests/unit/instructions.sh --record"; echo "compiler $now"; counts; } |
		tee "$recorded"
	exit
fi
then=$(sed -n 's/^compiler //p' "$recorded")
if [ "$now" != "$then" ]; then
	skip "recorded with $then, this is $now"
	plan
fi
while read -r step n; do
	limit=$(sed -n "s/^$step //p" "$recorded")
	ok "$step takes $n instructions per event, recorded are $limit, 10 % more or less are accepted" \
		test $((n * 10)) -le $((limit * 11)) -a $((n * 10)) -ge $((limit * 9))
done < <(counts)
plan
