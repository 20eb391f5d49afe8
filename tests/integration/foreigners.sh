#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Somebody else writes to the stream and deletes from it while the firehose flows: what was written becomes dead
# letters and the head is set back, so that nothing of the source is skipped; what was deleted before it was
# stored is an exact gap, and nothing else is missing.
. "$(dirname "$0")/../lib.sh"

head_seq() {
	redis xinfo stream "$stream" | sed -n '/^last-generated-id$/{n;s/.*-//p;}'
}

letters() {
	sql "select count(*) from standpipe.dead_letters where class in ('foreign', 'bad')"
}

# What a foreigner does just ahead of our head, in one step: by the next the firehose would have passed it.
ahead='local info = redis.call("XINFO", "STREAM", KEYS[1])
for i = 1, #info, 2 do
	if info[i] == "last-generated-id" then
		local id = "1-" .. (string.match(info[i + 1], "-(%d+)") + ARGV[1])
		return ARGV[2] == "XADD" and redis.call("XADD", KEYS[1], id, "p", "junk") or redis.call("XSETID", KEYS[1], id)
	end
end'

# junk COMMAND...: a foreign write; the next one comes when the keeper has set the head back.
junk() {
	n_junk=$((n_junk + 1))
	redis "$@" >/dev/null
	ok "${*: -1}: the keeper sets the head back" wait_until '[ "$(grep -c keeper.foreign_head "$T/standpipe.log")" -ge $n_junk ]' 60
}

redis_start
"$relay" generate --out "$T/generated" --frames 6000 --gaps 5 >"$T/generate.log" 2>&1 || bail "generate failed"
last=$(last_seq "$T/generated.frames")
relay_start serve "$T/generated.frames" --rate 200
pg_start
standpipe_start
ok "events flow" wait_until '[ "$(sql "select seq from standpipe.watermark")" -gt 200 ]' 30

n_junk=0
junk xadd "$stream" '*' some thing
# within our epoch, just ahead: a reader that went on from there would skip what the source has before it
junk eval "$ahead" 1 "$stream" 40 XADD
junk eval "$ahead" 1 "$stream" 300 XSETID
before=$(head_seq)
ok "events flow on" wait_until '[ "$(head_seq)" -gt $((before + 300)) ]' 30
is "what was written is two dead letters" "$(letters)" 2

# while the workers stand still, some of what nobody has read yet goes
kill -STOP $(pids_of worker)
before=$(head_seq)
ok "there is more than the workers have read" wait_until '[ "$(head_seq)" -gt $((before + 300)) ]' 20
mapfile -t ids < <(redis xrevrange "$stream" + - count 60 | grep -a -x '1-[0-9]*' | tac)
gone=("${ids[@]:20:5}")
redis xdel "$stream" "${gone[@]}" >/dev/null
after=${ids[19]#1-} through=${gone[-1]#1-}
kill -CONT $(pids_of worker)
ok "everything else is committed and acknowledged" wait_committed "$last" 60
is "what was deleted is one exact gap" "$(sql 'select after_epoch, after_seq, epoch, first_seq, reason from standpipe.gaps')" \
	"1|$after|1|$((through + 1))|foreign_trim"
is "still two dead letters" "$(letters)" 2
standpipe_stop
ok "what is missing can be read again" eval 'standpipe rewind "$after" >"$T/rewind.log"'
relay_stop
relay_start serve "$T/generated.frames" --listen "${relay_url#ws://}"
standpipe_run
ok "and then is there" wait_until '[ "$(sql "select epoch from standpipe.watermark")" = 2 ] && committed "$last"' 60
ok "0 differences" "$compare" "$T/generated"
plan
