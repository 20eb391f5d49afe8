#!/bin/sh
# SPDX-License-Identifier: MIT
# Functions of at most 80 lines, files under 500.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

sources() {
	find src workers supervisor tests -name '*.[ch]' | sort
}

functions() {
	sources | xargs awk '
		FNR == 1 { inside = 0 }
		!inside && (/^\{/ || /^[A-Za-z_].*\) *\{$/) { inside = 1; start = FNR }
		inside && /^\}/ { print FNR - start + 1, FILENAME ":" start; inside = 0 }'
}

ok "there are functions to look at" test "$(functions | wc -l)" -gt 100
none "no function is longer than 80 lines" "$(functions | awk '$1 > 80')"
none "no file has 500 lines or more" "$({ sources; find sql -name '*.sql'; find src -name '*.lua'; } |
	while read -r file; do echo "$(wc -l <"$file") $file"; done | awk '$1 >= 500')"
plan
