#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two workers meet at one missing parent, each order of their first transactions tried with the statements that
# `config --sql` shows: no pending row is left of a parent that is there, one of a parent that is not, without the
# keeper's help.
. "$(dirname "$0")/../lib.sh"

pg_start
redis_start
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"

# statement BEGINNING: the text of one of the statements beside a post's own.
statement() {
	"$standpipe" config --sql app.bsky.feed.post | sed -n "/^-- $1/,/^--\$/p" | sed '/^--$/d; s/^-- //'
}

prepare="prepare keys (bigint[], bigint[], smallint[], text[], boolean[], bigint[], bigint[], smallint[]) as
	$(statement 'WITH u AS'); prepare done (bigint[], bigint[], smallint[]) as $(statement 'DELETE FROM standpipe.pending');"
sql "insert into bsky.actors values (1, 'did:plc:author'), (2, 'did:plc:reader'), (3, 'did:plc:other')" >/dev/null

# Sessions that stay: what is written to their descriptor is done, the answers go to $T/NAME.out.
session() {
	mkfifo "$T/$1.in"
	psql -XAtq -v ON_ERROR_STOP=1 <"$T/$1.in" >"$T/$1.out" 2>&1 &
	servers+=("$!")
}
session one
exec 8>"$T/one.in"
session two
exec 9>"$T/two.in"
echo "set application_name = 'race-one'; $prepare" >&8
echo "set application_name = 'race-two'; $prepare" >&9

answered() {
	wait_until "grep -q '^$2\$' '$T/$1.out'" 20 || bail "$1 does not answer: $(cat "$T/$1.out")"
}

waits() {
	wait_until "[ \"\$(sql \"select wait_event_type from pg_stat_activity where application_name = 'race-$1'\")\" = Lock ]" 20
}

# like PARENT CHILD-ACTOR, post PARENT: the first transaction's statement of who refers to it, or brings it.
like() {
	echo "execute keys ('{$1}', '{1}', '{1}', '{}', '{f}', '{7}', '{$2}', '{2}');"
}
post() {
	echo "execute keys ('{$1}', '{1}', '{1}', '{}', '{t}', '{}', '{}', '{1}');"
}
rows() {
	sql "select count(*), min(child_actor) from standpipe.pending where rkey = $1"
}

echo "begin; $(like 100 2) select 'made-100';" >&8
answered one made-100
echo "$(post 100) begin; execute done ('{100}', '{1}', '{1}'); commit; select 'done-100';" >&9
ok "who brings a post waits for who makes its key as missing" waits two
echo "commit;" >&8
answered two done-100
is "and ends its pending row" "$(rows 100)" "0|"

echo "begin; $(post 200) select 'made-200';" >&8
answered one made-200
echo "$(like 200 2) select 'done-200';" >&9
ok "who refers to a post waits for who brings it" waits two
echo "commit;" >&8
answered two done-200
is "and makes no pending row" "$(rows 200)" "0|"

echo "begin; $(like 300 2) select 'made-300';" >&8
answered one made-300
echo "$(like 300 3) select 'done-300';" >&9
ok "of two who refer to a missing post the second waits" waits two
echo "commit;" >&8
answered two done-300
is "and there is one pending row, of the first" "$(rows 300)" "1|2"

echo "begin; $(post 400) select 'made-400';" >&8
answered one made-400
echo "$(like 400 2) select 'done-400';" >&9
waits two || bail "two does not wait"
echo "rollback;" >&8
answered two done-400
is "who refers to a post whose bringer is rolled back makes the key, and the pending row" "$(rows 400)" "1|2"

is "the keeper need not look at any of them now" "$(sql "select count(*) from standpipe.pending where next_retry <= now()")" 0
plan
