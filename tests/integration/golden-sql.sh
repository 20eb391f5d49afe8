#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The SQL derived from the table of collections is what tests/golden/sql pins, a file for each collection.
#
# usage: golden-sql.sh [--update]     --update writes the files anew; read the difference before committing it
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
standpipe=${STANDPIPE_BUILD:-$top/build}/standpipe
golden=$top/tests/golden/sql
other=com.example.record	# stands for every collection without a table of its own
. "$top/tests/tap.sh"

# The NSIDs of the table, and the one for all others.
collections() {
	"$standpipe" config --sql all | sed -n 's/^-- \([^ ]*\): bsky\..*/\1/p' | sort
	echo "$other"
}

# derived NSID
derived() {
	echo "-- SPDX-License-Identifier: MIT"
	"$standpipe" config --sql "$1"
}

if [ "${1-}" = --update ]; then
	mkdir -p "$golden" && rm -f "$golden"/*.sql
	for nsid in $(collections); do
		derived "$nsid" >"$golden/$nsid.sql" || exit
	done
	exit
fi

is "there is a golden file for each collection, and no other" \
	"$(cd "$golden" && printf '%s\n' *.sql | sort)" "$(collections | sed 's/$/.sql/' | sort)"
for nsid in $(collections); do
	ok "$nsid: its SQL is the pinned one (else look, then golden-sql.sh --update)" \
		diff -u "$golden/$nsid.sql" <(derived "$nsid")
done
ok "--sql all prints every statement once" test "$("$standpipe" config --sql all | grep -c '^INSERT INTO bsky')" = "$(collections | wc -l)"
ok "an unknown collection is said to have no table" \
	grep -q "^-- $other has no table of its own" <("$standpipe" config --sql "$other")
"$standpipe" config --sql "not an nsid" >/dev/null 2>&1
is "what is no NSID is a usage error" $? 64
plan
