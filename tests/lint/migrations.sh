#!/bin/sh
# SPDX-License-Identifier: MIT
# The migrations inside the program are the ones in sql/, numbered without a hole.
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

folder() {
	ls sql | grep -E '^[0-9]{3}_[a-z0-9_]+[.]sql$'
}

# Names as the table of migrations spells them, with or without ".sql".
embedded() {
	grep -ohE '[0-9]{3}_[a-z0-9_]+([.]sql)?' supervisor/commands/migrations.c | sed 's/[.]sql$//; s/$/.sql/' | sort -u
}

ok "there are migrations" test -n "$(folder)"
none "sql/ holds nothing but migrations" "$(ls sql | grep -vE '^[0-9]{3}_[a-z0-9_]+[.]sql$')"
is "the embedded list is the folder" "$(embedded)" "$(folder)"
is "numbers have no hole" "$(folder | cut -c 1-3)" "$(seq -f %03g "$(folder | wc -l)")"
plan
