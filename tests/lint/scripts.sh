#!/bin/sh
# SPDX-License-Identifier: MIT
# Scripts parse, and no test is passed over; tests wait for conditions, never for a fixed time; every source names its
# licence.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

scripts() {
	{ find tests etc .ci -type f -name '*.sh'
	  find tests etc .ci -type f ! -name '*.*' | xargs grep -lE '^#!/bin/(ba)?sh|^#!/usr/bin/env bash'; } | sort -u
}

ok "there are scripts to look at" test "$(scripts | wc -l)" -gt 10
none "every script parses" "$(scripts | while read -r file; do bash -n "$file" 2>&1; done)"
none "every test can be executed: the runner passes over what cannot" "$(for suite in unit lint integration property fault \
	long package; do find "tests/$suite" -maxdepth 1 -name '*.sh' ! -perm -u+x; done)"
none "no test sleeps for a fixed time" "$(grep -rnE '^[^#]*\b(u|nano)?sleep[ (]*[0-9.]+' tests --include='*.sh' \
	--include='test-*.c' --include='test-*')"
none "every source names its licence in its first lines" "$({ scripts
	find src workers supervisor tests sql -name '*.[ch]' -o -name '*.sql' -o -name '*.lua'; } | sort -u |
	while read -r file; do head -n 2 "$file" | grep -q SPDX-License-Identifier || echo "$file"; done)"
plan
