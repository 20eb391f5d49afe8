# SPDX-License-Identifier: MIT
# TAP for shell tests (POSIX sh, to be sourced): one claim is one numbered line; plan ends the test.

tap_n=0
tap_failed=0

# Every line of standard input as a TAP comment.
diag() {
	sed 's/^/# /'
}

# tap_result STATUS CLAIM
tap_result() {
	tap_n=$((tap_n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_n - $2"
		return 0
	fi
	echo "not ok $tap_n - $2"
	tap_failed=$((tap_failed + 1))
	return 1
}

# ok CLAIM COMMAND...: the claim holds if the command succeeds; its output is shown if it does not.
ok() {
	tap_claim=$1
	shift
	tap_output=$("$@" 2>&1)
	tap_result $? "$tap_claim" || { printf '%s\n' "$tap_output" | diag; return 1; }
}

# is CLAIM FOUND EXPECTED
is() {
	tap_result "$([ "$2" = "$3" ]; echo $?)" "$1" && return
	{ echo "found:    $2"; echo "expected: $3"; } | diag
	return 1
}

# none CLAIM LINES: the claim holds if there are no lines; otherwise they are what is wrong.
none() {
	tap_result "$([ -z "$2" ]; echo $?)" "$1" || { printf '%s\n' "$2" | diag; return 1; }
}

skip() {
	tap_n=$((tap_n + 1))
	echo "ok $tap_n # SKIP $1"
}

# Ends the test: prints the plan, exits 1 if a claim failed.
plan() {
	echo "1..$tap_n"
	[ "$tap_failed" -eq 0 ]
	exit
}
