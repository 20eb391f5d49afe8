#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Garbage, a message that is too big, a record that is not what its CID says: each is set aside with its
# bytes and the reason, is counted and logged once per sighting, and everything else is stored.
. "$(dirname "$0")/../lib.sh"
garbage=1500 oversize=2500 oversize_bytes=6000000

# Seq of the last frame that creates at least two records (its seq is its number in a generated recording).
last_double() {
	perl -e '
		open my $f, "<:raw", $ARGV[0] or die $!;
		my ($at, $found) = (0, 0);
		while (read $f, my $n, 4) {
			read $f, my $frame, unpack "N", $n;
			$at++;
			$found = $at if (() = $frame =~ /fcreate/g) >= 2;
		}
		print $found' "$1"
}

logged() {
	grep -c -- "$1" "$T/standpipe.log"
}

letter() {
	sql "select $1 from standpipe.dead_letters where $2"
}

"$relay" generate --out "$T/generated" --frames 4000 --odd=5 >"$T/generate.log" 2>&1 || bail "generate failed"
corrupt=$(last_double "$T/generated.frames")
pg_start
redis_start
relay_start serve "$T/generated.frames" --bad-frame $garbage --oversize-frame $oversize $oversize_bytes \
	--wrong-cid "$corrupt"
standpipe_start
ok "reading goes on past all of it, to the last frame" wait_committed "$(last_seq "$T/generated.frames")" 90

is "garbage: dead letter of the whole event, after the frame before it" \
	"$(letter "class, epoch, seq, op" "seq = $((garbage - 1))")" "bad|1|$((garbage - 1))|-1"
is "garbage: with its bytes" "$(letter "convert_from(substr(bytes, 17), 'UTF8')" "seq = $((garbage - 1))")" \
	" garbage at $garbage"
is "too big: dead letter with its first bytes and its size" \
	"$(letter "class, op, bytes = decode(repeat('00', length(bytes)), 'hex') and length(bytes) > 0,
		reason like '%$oversize_bytes%'" "seq = $((oversize - 1))")" "bad|-1|t|t"
is "each made the connection drop twice" "$(logged 'source.connected')" 5
is "each sighting is one log line" "$(logged 'source.bad_frame')" 6
is "each sighting counts" "$(standpipe status --json | grep -o '"frames_bad": *[0-9]*' | head -n 1 | tr -dc 0-9)" 6

is "wrong CID: dead letter of one operation" \
	"$(letter "class, reason, op >= 0, length(bytes) > 0" "seq = $corrupt")" "refused|cid_mismatch|t|t"
is "wrong CID: one log line" "$(logged 'op.refused')" 1
is "no other dead letters" "$(letter 'count(*)' true)" 3
is "one log line for each dead letter" "$(logged 'worker.dead_lettered')" 3
refused=$(letter "format('at://%s/%s/%s', did, collection, rkey)" "seq = $corrupt")
is "the other operations of that commit are stored" \
	"$("$compare" "$T/generated" | tail -n 1)" "record missing: 1, e.g. $refused"
plan
