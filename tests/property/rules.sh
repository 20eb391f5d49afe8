#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 600
# A test that cannot fail proves nothing: for every rule of src/base/rules.h the program with that rule broken
# must fail the test of any order, and the intact one must pass it. Built by `ninja broken-rules`.
. "$(dirname "$0")/../lib.sh"

seed=1 shuffles=200 every=5	# enough to show each: the whole of it is any-order.sh
any_order=$build/tests/property/test-any-order

# tried PROGRAM: runs it on a copy of the empty schema, leaves what it said and its exit status in $T.
tried() {
	local name=${1##*/test-any-order} copy
	copy=${PGDATABASE}_copy${name//-/_}

	psql -XAtqd postgres -c "drop database if exists $copy" -c "create database $copy template $PGDATABASE" >/dev/null &&
		PGDATABASE=$copy "$1" --seed $seed --shuffles $shuffles --every $every --workers 2 >"$T/out$name" 2>&1
	echo $? >"$T/status$name"
	psql -XAtqd postgres -c "drop database if exists $copy" >/dev/null
}

intact() {
	[ "$(cat "$T/status")" = 0 ] || { cut -c 1-400 "$T/out"; return 1; }
}

# The broken program must come as far as comparing dumps, and find them wrong.
fails() {
	[ "$(cat "$T/status-$1")" = 1 ] && grep -q '^not ok .* as the model says\|^not ok .*every one of' "$T/out-$1" &&
		! grep -q '^not ok .*\(committed\|read\|made\)' "$T/out-$1" && return
	cut -c 1-400 "$T/out-$1"
	return 1
}

# The choices of the build option, in order.
choices() {
	sed -n "/'break_rule'/,/description/p" "$top/meson_options.txt" | grep -o "'[a-z_]*'" | tr -d "'" |
		grep -vx 'break_rule\|combo\|none'
}

# named LETTERS: the rules of src/base/rules.h in lists of these macros.
named() {
	sed -nE "s/^\t[$1]\([a-z_]+, ([a-z_]+)\).*/\1/p" "$top/src/base/rules.h"
}

export PGOPTIONS="-c client_min_messages=warning"
pg_start
standpipe_conf
STANDPIPE_INSTALLATION_KEY=$(printf '5a%.0s' {1..32}) standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
# in the header X() is a rule of the data's meaning, Y() one of the chain, which tests/fault/rules.sh breaks
is "the build option break_rule knows every rule" "$(choices)" "$(named XY)"
is "each rule of the data's meaning is tried here" "$("$any_order" --list-rules)" "$(named X)"
for rule in '' $("$any_order" --list-rules); do
	databases+=("${PGDATABASE}_copy${rule:+_$rule}")
	[ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
	tried "$any_order${rule:+-$rule}" &
done
wait
ok "with every rule in place the test passes" intact
for rule in $("$any_order" --list-rules); do
	ok "with $rule the test fails" fails "$rule"
done
echo "# $SECONDS s"
plan
