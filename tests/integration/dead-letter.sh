#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# standpipe dead-letter: an event that PostgreSQL refused is shown and, when the cause is gone, stored from its
# dead letter while standpipe runs; a malformed frame is shown as it came and dropped on request.
. "$(dirname "$0")/../lib.sh"
garbage=700

# letter COLUMNS CONDITION
letter() {
	sql "select $1 from standpipe.dead_letters where $2"
}

# says TEXT STATUS ARGUMENTS...: the command exits with STATUS and prints TEXT (an extended regular expression).
says() {
	local text=$1 status=$2

	shift 2
	standpipe dead-letter "$@" >"$T/said" 2>&1
	[ $? = "$status" ] && grep -qE -- "$text" "$T/said" && return
	sed 's/^/said: /' "$T/said"
	return 1
}

redis_start
"$relay" generate --out "$T/generated" --frames 2000 >"$T/generate.log" 2>&1 || bail "generate failed"
victim=$(grep -m 3 '"collection":"app.bsky.feed.post"' "$T/generated.records.jsonl" | tail -n 1)
did=$(sed 's/.*"did":"\([^"]*\)".*/\1/' <<<"$victim")
rkey=$(sed 's/.*"rkey":"\([^"]*\)".*/\1/' <<<"$victim")
corrupt=$(perl -e '
	open my $f, "<:raw", $ARGV[0] or die $!;
	my ($at, $found) = (0, 0);
	while (read $f, my $n, 4) {
		read $f, my $frame, unpack "N", $n;
		$at++;
		$found = $at if $frame =~ /fcreate/ && $at > 1000;
	}
	print $found' "$T/generated.frames")
relay_start serve "$T/generated.frames" --bad-frame $garbage --wrong-cid "$corrupt"
pg_start
standpipe_conf
standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
ok "nothing is listed of an empty table" says '^no dead letters$' 0 list
sql "create function public.refuse() returns trigger language plpgsql as \$\$ begin
	raise exception 'refused on purpose' using errcode = '22023'; end \$\$;
	create trigger refuse before insert on bsky.posts for each row
	when (new.rkey = bsky.rkey_id('$rkey') and new.actor = bsky.actor_id('$did') and new.cid <> '')
	execute function public.refuse()" || bail "no trigger"
standpipe_run
ok "every frame is committed and acknowledged" wait_committed "$(last_seq "$T/generated.frames")" 60
is "three dead letters: an event, a frame, an operation" \
	"$(letter "string_agg(class, ' ' order by class)" true)" "bad data refused"

place=$(letter "epoch || '-' || seq" "class = 'data'")
operation=$(letter "epoch || '-' || seq || '.' || op" "class = 'refused'")
bad=1-$((garbage - 1))
bad_id=$(letter "left(encode(id, 'hex'), 12)" "class = 'bad'")
ok "list shows each by its place" says "^$place .* data .* 22023 +$did" 0 list
ok "list --class leaves the others out" says "^$bad +$bad_id +bad" 0 list --class bad
is "really" "$(grep -c '^[0-9]' "$T/said")" 1
is "list --json is JSON with the whole id" "$(standpipe dead-letter list --json |
	python3 -c 'import json, sys; r = json.load(sys.stdin); print(len(r), {len(x["id"]) for x in r})')" "3 {64}"
is "list --limit" "$(standpipe dead-letter list --limit 1 | wc -l)" 2

ok "show of an event names its reason" says 'refused on purpose' 0 show "$place"
is "and has its operations as JSON, with the record" "$(standpipe dead-letter show "$place" | sed -n '/^{/,$p' |
	python3 -c '
import json, sys
e = json.load(sys.stdin)
print(e["kind"], e["did"], [o["record"]["$type"] for o in e["ops"] if o["rkey"] == sys.argv[1]][0])' "$rkey")" \
	"commit $did app.bsky.feed.post"
ok "show of an operation has the record" says '"\$type": ?"' 0 show "$operation"
ok "show of garbage dumps it" says '\|.*garbage at 7' 0 show "$bad_id"
is "show --raw is the bytes as they came" "$(standpipe dead-letter show "$bad" --raw | sha256sum | cut -c 1-12)" "$bad_id"
ok "show of what is not there" says 'no such dead letter' 1 show 1-99999999
ok "an id that is none is a usage error" says 'is neither' 64 show nonsense
ok "retry without an id is a usage error" says '^usage' 64 retry
ok "retry-all with one, too" says '^usage' 64 retry-all "$bad"

ok "retry while the cause is there: still refused" says "^$place .*still refused" 1 retry "$place"
is "the letter stays and counts the attempt" "$(letter 'class, attempts, sqlstate' "epoch || '-' || seq = '$place'")" "data|2|22023"
ok "an operation is not retried alone; it says how" says "standpipe rewind $corrupt$" 1 retry "$operation"
ok "garbage stays garbage" says "^$bad .*still refused" 1 retry-all --class bad
is "and counts the attempt" "$(letter 'attempts' "class = 'bad'")" 2

sql "drop trigger refuse on bsky.posts"
ok "retry when the cause is gone: stored" says "^$place .*stored" 0 retry "$place"
is "the letter is gone" "$(letter 'count(*)' "class = 'data'")" 0
is "the post is there" "$(sql "select count(*) from bsky.record('at://$did/app.bsky.feed.post/$rkey')")" 1
is "it is no missing parent any more" \
	"$(sql "select count(*) from standpipe.pending where rkey = bsky.rkey_id('$rkey') and actor = bsky.actor_id('$did')")" 0
ok "the ledger adds up, with what came from no pack" standpipe fsck
refused=$(letter "format('at://%s/%s/%s', did, collection, rkey)" "class = 'refused'")
is "but for the refused operation nothing is missing or differs" \
	"$("$compare" "$T/generated" | tail -n 1)" "record missing: 1, e.g. $refused"
ok "retry of it again: no such letter" says 'no such dead letter' 1 retry "$place"

# A frame whose letter is good to the program after all: what a bug of an older version would have left.
sql "delete from bsky.likes where cid <> '' and (rkey, actor) = (select rkey, actor from bsky.likes where cid <> '' order by seq desc limit 1)" ||
	bail "no like to take away"
missing=$("$compare" "$T/generated" | grep -c . )
perl -e '
	open my $f, "<:raw", $ARGV[0] or die $!;
	my $at = 0;
	print "copy standpipe.dead_letters (epoch, seq, op, id, class, reason, bytes) from stdin;\n";
	while (read $f, my $n, 4) {
		read $f, my $frame, unpack "N", $n;
		$at++;
		next unless $frame =~ /fcreate/ && $frame =~ /app[.]bsky[.]feed[.]like/;
		use Digest::SHA "sha256_hex";
		print join("\t", 1, $at - 1, -1, "\\\\x" . sha256_hex($frame), "bad", "a bug", "\\\\x" . unpack("H*", $frame)), "\n";
	}
	print "\\.\n"' "$T/generated.frames" | psql -XAtq -v ON_ERROR_STOP=1 || bail "no letters"
n_bad=$(letter 'count(*)' "reason = 'a bug'")
ok "the like that was taken away is missing" test "$missing" -gt 1
ok "retry-all stores the frames that can be read now" says "^$n_bad stored, 1 still refused, 1 not to be retried alone$" 1 retry-all
# the recording itself has the operation that was refused as it should be
ok "the like is back, and what had been refused: nothing is missing or differs" \
	grep -q ': 0 differences$' <("$compare" "$T/generated")
is "only what is still refused remains" "$(letter "string_agg(class, ' ' order by class)" true)" "bad refused"

ok "drop by id says how many" says '^1 dead letter dropped$' 0 drop "$bad_id"
ok "drop by class" says '^1 dead letter dropped$' 0 drop --class refused
ok "drop of what is gone" says 'no such dead letter' 1 drop "$bad"
is "nothing is left" "$(letter 'count(*)' true)" 0
ok "standpipe ran all the time" kill -0 "$standpipe_pid"
standpipe_stop
sed -i 's/user=/port=1 user=/' "$T/standpipe.conf"
ok "without PostgreSQL: exit 69" says 'standpipe dead-letter: ' 69 list
plan
