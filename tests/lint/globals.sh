#!/bin/sh
# SPDX-License-Identifier: MIT
# Mutable variables that outlive a call: at most four in the whole program. The compiler is asked, not
# the text: whatever it put in a writable section counts, function-local statics too.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
build=${STANDPIPE_BUILD:-build}

objects() {
	find "$build" -name '*.o' -path '*.p/*' | grep -E '/(src|workers|supervisor)_[^/]*[.]o$|/(workers|supervisor)/[^/]*[.]p/|/standpipe[.]p/'
}

writable() {
	objects | sort -u | while read -r object; do
		objdump -t "$object" | awk -v file="${object##*/}" '
			$3 == "O" && $4 ~ /^[.](data|bss|tdata|tbss)/ && $4 !~ /^[.]data[.]rel[.]ro/ { print file ": " $NF }
			$2 == "O" && $3 ~ /^[.](data|bss|tdata|tbss)/ && $3 !~ /^[.]data[.]rel[.]ro/ { print file ": " $NF }'
	done
}

if ! command -v objdump >/dev/null || [ -z "$(objects)" ]; then
	skip "no objects in $build, or no objdump"
	plan
fi
found=$(writable)
printf '%s\n' "$found" | diag
ok "at most four mutable variables outlive a call" test "$(printf '%s\n' "$found" | grep -c .)" -le 4
plan
