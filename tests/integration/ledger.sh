#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The ledger adds up: odd records, dead letters, filtered collections, workers and readers killed, everything
# delivered twice; and standpipe fsck says so, or names the row that does not.
. "$(dirname "$0")/../lib.sh"

# fsck [OPTIONS]: sets found (what it printed) and status.
fsck() {
	found=$(standpipe fsck "$@" 2>&1)
	status=$?
}

# clean CLAIM
clean() {
	fsck
	[ "$status" -eq 0 ] && grep -q '^ok      ledger_stream ' <<<"$found"
	tap_result $? "$1" || diag <<<"$found"
}

# total COLUMN [CONDITION]
total() {
	sql "select coalesce(sum($1), 0) from standpipe.ledger_summary where ${2:-true}"
}

# Kills one child of the role every 200 to 500 ms until $T/enough is there; one line per kill.
killer() {
	local pids

	until [ -e "$T/enough" ]; do
		mapfile -t pids < <(pids_of "$1")
		[ ${#pids[@]} -eq 0 ] ||
			! kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || echo "${pids[*]}"
		sleep "0.$((RANDOM % 300 + 200))"
	done >>"$T/kills"
}

# ops_of_frames FILE: operations of each collection in a recording, read from the frames' bytes by another program.
ops_of_frames() {
	perl -e '
		open my $f, "<:raw", $ARGV[0] or die $!;
		while (read $f, my $n, 4) {
			read $f, my $frame, unpack "N", $n;
			next unless $frame =~ /#commit/;
			my ($ops) = $frame =~ /cops(.*)/s or next;
			$n{$1 =~ m|^([a-zA-Z0-9.-]+)/| ? $1 : "?"}++
				while $ops =~ /dpath(?:[\x60-\x77]|\x78.|\x79..)(.{0,4000}?)faction/sg;
		}
		print map "$_ $n{$_}\n", sort keys %n' "$1"
}

"$relay" generate --out "$T/odd" --frames 4000 --seed 3 --odd=5 --gaps 5 --late 10 >"$T/generate.log" 2>&1 || bail "generate failed"
pg_start
redis_start
relay_start serve "$T/odd.frames" --rate 400
set_source='collections = ["app.bsky.feed.*", "app.bsky.graph.follow", "com.example.*"];'
set_workers='batch_events = 20; batch_events_max = 200;'
set_redis='replay_events = 100000;'
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
# batches are halved until the event is found whose row is refused
sql "create function public.refuse() returns trigger language plpgsql as \$\$ begin
	raise exception 'refused on purpose' using errcode = '22023'; end \$\$;
	create trigger refuse before insert on bsky.posts for each row when (new.seq % 50 = 0) execute function public.refuse()" ||
	bail "no trigger"
standpipe_run
last=$(last_seq "$T/odd.frames")
killer worker & killers=("$!")
killer reader & killers+=("$!")
servers+=("${killers[@]}")
ok "workers and readers are killed while events flow" wait_until '[ "$(wc -l <"$T/kills")" -ge 16 ]' 60
: >"$T/enough"
wait "${killers[@]}"
ok "every event is committed" wait_committed "$last" 90

clean "received = applied + unchanged + stale + dead-lettered + filtered"
for column in received applied dead_lettered filtered inserted; do
	ok "some were $column" test "$(total $column)" -gt 0
done
is "nothing of a collection that was not asked for is in a table" "$(sql 'select count(*) from bsky.blocks')" 0
is "its operations are filtered, every one" \
	"$(sql "select received = filtered and filtered > 0 from standpipe.ledger_summary where class = 'app.bsky.graph.block'")" t
is "no event without an outcome" "$(total 'abs(residue)')" 0
is "as many likes as the recording has" "$(total received "class = 'app.bsky.feed.like'")" \
	"$(ops_of_frames "$T/odd.frames" | awk '$1 == "app.bsky.feed.like" { print $2 }')"
is "as many operations of all collections" "$(total received "class_id < 200")" \
	"$(ops_of_frames "$T/odd.frames" | awk '{ n += $2 } END { print n }')"
received=$(total received) applied=$(total applied)
ok "status says it in a line" grep -q '^ledger .* operations received, 0 without an outcome, ' <(standpipe status)

# ---- all of it again ----

first_pack=$(redis --raw xrange "$stream" - + count 1 | head -n 1)
before=$(total redelivered)
redis xgroup setid "$stream" "$group" 0 >/dev/null
ok "all that Redis still holds is delivered again" wait_until \
	'[ "$(total redelivered)" -gt $((before + received / 2)) ] && [ "$(redis xpending "$stream" "$group" | head -n 1)" = 0 ]' 60
ok "Redis held everything ($first_pack)" test "$(redis xlen "$stream")" -gt 50
is "nothing more is received" "$(total received)" "$received"
is "nothing more is applied" "$(total applied)" "$applied"
is "all of it is redelivered" "$(total redelivered)" $((before + received))
clean "and the ledger still adds up"
standpipe_stop

# ---- what does not add up is found ----

# damaged CLAIM CHECKS PATTERN SQL: in a copy of the database exactly CHECKS fail, exit 1, with a row like PATTERN.
whole=$PGDATABASE
databases+=("${whole}_damaged")
damaged() {
	local names

	export PGDATABASE=${whole}_damaged
	psql -XAtqd postgres -c "drop database if exists $PGDATABASE" -c "create database $PGDATABASE template $whole" \
		>/dev/null 2>&1 || bail "no copy of the database"
	sql "$4" >/dev/null || bail "$1: $4"
	standpipe_conf
	fsck
	names=$(awk '/^FAILED/ { print $2 }' <<<"$found" | tr '\n' ' ')
	[ "$status" -eq 1 ] && [ "${names% }" = "$2" ] && grep -E '^ *[{]' <<<"$found" | grep -qE "$3"
	tap_result $? "$1" || { echo "exit $status, wanted: $2, $3"; echo "$found"; } | diag
	export PGDATABASE=$whole
}

like="class = 10"
damaged "an outcome that is missing" ledger '"class":"app.bsky.feed.like",.*"residue":1,' \
	"update standpipe.ledger_totals set applied = applied - 1 where $like"
damaged "one too many received" ledger '"class":"app.bsky.feed.like",.*"residue":3,' \
	"update standpipe.ledger_totals set received = received + 3 where $like"
damaged "a pack that does not add up" ledger_packs '"seq":[0-9]+,"class":"[a-z#]' \
	"update standpipe.ledger set counts[1][2] = counts[1][2] + 1 where ctid = (select min(ctid) from standpipe.ledger)"
damaged "an event that nobody received" ledger_events '"events":[0-9]+,.*"received":[0-9]+' \
	"update standpipe.ledger_totals set received = received - 1, applied = applied - 1 where class = 201"
damaged "events lost without a gap" ledger_events '"lost":5,' \
	"update standpipe.watermark set lost = 5, ordinal_base = ordinal_base - 5"
damaged "a like that is gone" ledger_rows '"table":"bsky.likes","rows":[0-9]+,"inserted":[0-9]+' \
	"delete from bsky.likes where ctid = (select min(ctid) from bsky.likes)"
damaged "another number of events than Redis has" ledger_stream '"ordinal":[0-9]+,"ordinal_in_redis":[0-9]+' \
	"update standpipe.watermark set ordinal = ordinal + 1, ordinal_base = ordinal_base + 1"
plan
