# SPDX-License-Identifier: MIT
# What only the whole of tests/bench/run measures (bash, to be sourced).

# ---- growth: the same work on larger tables ----

# events at each size: those that make connections and caches warm, those of each round, and those that the reader is to
# have left at the end of the last, so that it works all the time
growth_warm=$((100000 / small)) growth_rounds=3 growth_round=$((60000 / small)) growth_left=$((20000 / small))
growth_step=$((growth_warm + growth_rounds * growth_round + growth_left))
growth_millions='1 5 10 20'

# likes FROM TO: fills the tables with the likes of that range, of a network of 2 million accounts with a post
# for every ten likes, in the order of time and before the recording begins. No foreign key is checked here.
likes() {
	psql -XAtq -v ON_ERROR_STOP=1 -v a="$1" -v b="$2" <<-'SQL' >/dev/null && psql -XAtqc 'vacuum analyze' -c checkpoint
		set session_replication_role = replica;
		create function pg_temp.actor(n bigint) returns bigint language sql immutable as
			'select hashint8extended(n % 2000000, 7) & 9223372036854775807';
		create function pg_temp.tid(us bigint) returns bigint language sql immutable as
			'select (1764547200000000 + us) << 10';
		insert into bsky.actors select pg_temp.actor(n), 'did:plc:' || substr(md5(n::text), 1, 24)
		from generate_series(:a / 10::bigint, :b / 10 - 1) n on conflict do nothing;
		insert into bsky.keys (rkey, actor, kind) select pg_temp.tid(n * 1000000), pg_temp.actor(n * 7919), 1
		from generate_series(:a / 10::bigint, :b / 10 - 1) n on conflict do nothing;
		insert into bsky.likes (rkey, actor, rev, seq, created_at, subject_rkey, subject_actor, subject_kind, epoch, cid, subject_cid)
		select pg_temp.tid(n * 100000 + 13), pg_temp.actor(hashint8(n)), pg_temp.tid(n * 100000 + 14), 0,
			to_timestamp(1764547200 + n / 10), pg_temp.tid(s * 1000000), pg_temp.actor(s * 7919), 1, 0,
			sha256(int8send(n)), sha256(int8send(-s))
		from (select n, (n / 10 * (1 - power((hashint8(n) & 1023) / 1024.0, 3)))::bigint as s
			from generate_series(:a::bigint, :b - 1) n) l on conflict do nothing;
	SQL
}

# serve_until N: the recording up to its frame N, always at the same address, held until it is let go.
serve_until() {
	relay_stop 2>/dev/null
	relay_hold "$recording.frames" --past "$1" ${growth_port:+--listen "127.0.0.1:$growth_port"}
	growth_port=${relay_url##*:}
}

# cheapest PHASE: of its rounds the one that cost least is the phase's; what others do on the machine makes them dearer.
cheapest() {
	local round

	round=$(for round in $(seq $growth_rounds); do echo "$(cpu_of "$1_$round") $round"; done | sort -n | sed -n '1s/.* //p')
	sed -n "s/^$1_$round /$1 /p" "$figures" >"$T/best"
	cat "$T/best" >>"$figures"
}

# grown PHASE: the next part of the recording onto what is there; first, the last seq of it.
grown() {
	local from=$((first + growth_warm)) round

	serve_until $((first + growth_step))
	run_idle 2
	kill -CONT "$relay_pid"
	for round in $(seq $growth_rounds); do
		measure "$1_$round" delivered $((from + growth_round)) 1800 "from=$from"
		from=$((from + growth_round))
	done
	first=$((first + growth_step))
	measure "settle_$1" drained "$first" 600 none
	cheapest "$1"
}

growth() {
	local first=0 from=0 n round growth_port=''

	recording $((growth_step * 4)) --accounts 50000
	# a short buffer, so that the reader is not done long before the workers
	set_redis="max_events = 20000; replay_events = $growth_step; replay_bytes = 20000000000L;"
	# it would begin in one size and not in another
	pg_again autovacuum=off
	fresh 2
	for n in $growth_millions; do
		now "growth: filling up to $n M likes"
		likes "$from" $((n * 1000000 / small)) || bail "could not fill"
		from=$((n * 1000000 / small))
		grown "fresh_${n}M"
		[ "$first" -eq "$last" ] || standpipe_stop
	done
	for round in $(seq $growth_rounds); do
		measure "replay_${n}M_$round" drained "$last" 1800 "rewind=1-$((last - growth_step))"
	done
	cheapest "replay_${n}M"
	standpipe_stop
	# the smallest once more, for machines drift
	fresh 2
	likes 0 "$((1000000 / small))" || bail "could not fill"
	first=0
	grown again_1M
	standpipe_stop
	pg_again
	value growth_small_us "$(awk -v a="$(cpu_of fresh_1M)" -v b="$(cpu_of again_1M)" 'BEGIN { printf "%.2f", (a + b) / 2 }')"
	ratio growth_cost_ratio "$(cpu_of "fresh_${n}M")" "$(value_of growth_small_us)"
	ratio replay_ratio "$(rate "replay_${n}M")" "$(rate "fresh_${n}M")"
}

# ---- footprint ----

pending_parents=$((10000000 / small))

missing_parents() {
	psql -XAtq -v ON_ERROR_STOP=1 -v n="$1" <<-'SQL' >/dev/null && psql -XAtqc 'vacuum analyze' -c checkpoint
		set session_replication_role = replica;
		insert into bsky.actors select n, 'did:plc:' || substr(md5(n::text), 1, 24) from generate_series(1, 100000) n
			on conflict do nothing;
		insert into bsky.keys (rkey, actor, kind)
		select (1764547200000000 + n * 100000) << 10, n % 100000 + 1, 1 from generate_series(1, :n::bigint) n;
		insert into standpipe.pending (rkey, actor, kind, first_seen, attempts, next_retry)
		select (1764547200000000 + n * 100000) << 10, n % 100000 + 1, 1, now() - interval '1 hour' * random(), 5,
			now() + interval '1 hour' * random()
		from generate_series(1, :n::bigint) n;
	SQL
}

# Resident memory of our processes now, in MB.
rss_now() {
	"$tool" rss "$postmaster" "$standpipe_pid" |
		awk '$2 ~ /^(reader|worker|keeper|monitor|supervisor)$/ { kb += $3 } END { printf "%.1f", kb / 1024 }'
}

footprint() {
	local growth_port='' started

	recording "$frames"
	set_redis=''
	fresh 2
	serve_until 1000
	run_idle 2
	measure footprint_first drained 1000 60 "cont=$relay_pid"
	value rest_rss_mb "$(rss_now)"
	standpipe_stop
	now "footprint: $pending_parents pending parents"
	missing_parents "$pending_parents" || bail "could not fill"
	serve_until 2000
	kill -CONT "$relay_pid"
	started=${EPOCHREALTIME/[.,]/}
	standpipe_run
	measure restart drained 2000 120 none
	value restart_s "$(awk -v a="$started" -v b="${EPOCHREALTIME/[.,]/}" 'BEGIN { printf "%.2f", (b - a) / 1e6 }')"
	wait_until "[ \"\$(sql 'select seq from standpipe.watermark')\" = 2000 ]" 60 || bail "the watermark stays behind"
	value pending_rss_mb "$(rss_now)"
	standpipe_stop
	serve_until "$last"
	run_idle 2
	measure footprint_load drained "$last" 1800 "cont=$relay_pid"
	value pending_peak_rss_mb "$(rss_of footprint_load)"
	value pending_rows "$(sql 'select count(*) from standpipe.pending')"
	standpipe_stop
}

# ---- unusual mixtures ----

# A start in mid-stream: 95 % of what is referred to has not been seen, half of it comes later.
gaps() {
	recording "$frames" --late 47.5 --never 47.5 --late-span 20000
	mixture gaps
}

# 30 % of all likes, reposts and replies are of one post.
hot() {
	recording "$frames" --hot 30
	mixture hot
}

mixture() {
	set_redis='max_events = 500000; replay_events = 1000;'
	fresh 2
	relay_hold "$recording.frames" --rate max
	run_idle 2
	measure "$1" drained "$last" 1800 "cont=$relay_pid"
	standpipe_stop
}

# ---- what checking costs ----

hash_rounds=10 verify_rounds=2

# decoding PROGRAM: CPU-us per event of decoding and checking the recording's frames, without sockets and servers.
decoding() {
	local TIMEFORMAT='%U %S'

	{ time "$build/tests/bench/tool/$1" steps decode "$recording.frames" >/dev/null; } 2>&1 |
		awk -v n="$last" '{ printf "%.3f\n", ($1 + $2) * 1e6 / n }'
}

least() {
	sort -n | head -n 1
}

# Ours, and a program that hashes no block; in turn, for machines drift.
hashing() {
	local round

	for round in $(seq $hash_rounds); do
		now "decoding with and without hashes, round $round"
		decoding bench-tool >>"$T/hashed"
		decoding bench-tool-unhashed >>"$T/unhashed"
	done
	value decode_us "$(least <"$T/hashed")"
	value decode_unhashed_us "$(least <"$T/unhashed")"
}

# our_cost MODE: CPU-us per event of reader and worker in the cheaper round.
our_cost() {
	awk -v mode="^verify_$1_" '$1 ~ mode && $2 == "cpu" && ($3 == "reader" || $3 == "worker") { us[$1] += $4 }
		END { for (phase in us) printf "%.2f\n", us[phase] }' "$figures" | least
}

# verified MODE ROUND: everything at once, with one worker.
verified() {
	set_redis='max_events = 500000; replay_events = 1000;' set_source="verify = \"$1\";"
	fresh 1
	[ "$1" != full ] || give_identities "$recording.diddocs.json"
	relay_hold "$recording.frames" --rate max
	run_idle 1
	measure "verify_$1_$2" drained "$last" 1800 "cont=$relay_pid"
	[ "$1" != full ] || standpipe status --json >"$T/status.$2.json"
	standpipe_stop
	set_source=
}

# Events that a core verifies in a second, by the workers' own counters, in the best round.
verified_per_s() {
	cat "$T"/status.*.json | tr ',' '\n' | awk -F ': *' '
		/"events_verified"/ { n = $2 } /"verify_us"/ && $2 > 0 && n / $2 > best { best = n / $2 }
		END { printf "%d", best * 1e6 }'
}

verify() {
	local round mode

	. "$top/tests/verify.sh"
	recording "$frames" --max-records 100
	hashing
	for round in $(seq $verify_rounds); do
		for mode in blocks full; do
			verified "$mode" "$round"
		done
	done
	value verify_blocks_us "$(our_cost blocks)"
	value verify_full_us "$(our_cost full)"
	value verify_events_per_core_s "$(verified_per_s)"
}

# ---- likes of a post: counted when asked, or kept in a table ----

# The cheapest such table that stays exact: a statement's changes are summed and applied at once, sorted, so that two
# workers never wait for each other in a circle. Reposts, replies and quotes would need one each, and an account that is
# deactivated an update for every post it has liked.
keep_likes() {
	psql -XAtq -v ON_ERROR_STOP=1 <<-'SQL' || bail "no table of counts"
		create table bsky.kept_likes (rkey bigint, actor bigint, likes bigint not null, primary key (rkey, actor))
			with (fillfactor = 50);
		create function bsky.keep_likes() returns trigger language plpgsql as $$ begin
			insert into bsky.kept_likes as k select subject_rkey, subject_actor, count(*) from fresh
				where cid <> '' and subject_kind = 1 group by 1, 2 order by 1, 2
				on conflict (rkey, actor) do update set likes = k.likes + excluded.likes;
			return null; end $$;
		create function bsky.change_likes() returns trigger language plpgsql as $$ begin
			insert into bsky.kept_likes as k select subject_rkey, subject_actor, sum(n) from (
				select subject_rkey, subject_actor, 1 as n from fresh where cid <> '' and subject_kind = 1 union all
				select subject_rkey, subject_actor, -1 from old where cid <> '' and subject_kind = 1) c
				group by 1, 2 having sum(n) <> 0 order by 1, 2
				on conflict (rkey, actor) do update set likes = k.likes + excluded.likes;
			return null; end $$;
		create trigger keep after insert on bsky.likes referencing new table as fresh
			for each statement execute function bsky.keep_likes();
		create trigger change after update on bsky.likes referencing new table as fresh old table as old
			for each statement execute function bsky.change_likes();
	SQL
}

# looked_up NAME QUERY: milliseconds of the fastest of five.
looked_up() {
	value "$1" "$(for _ in 1 2 3 4 5; do sql "explain (analyze, timing off) $2"; done |
		sed -n 's/^Execution Time: \([0-9.]*\) ms$/\1/p' | least)"
}

counts_rounds=3

# best WAY HOT: CPU-us per event of the backends in the cheapest round; machines drift.
best() {
	awk -v phase="^$1_$2_" '$1 ~ phase && $2 == "cpu" && $3 == "postgres-backends" { print $4 }' "$figures" | least
}

counts() {
	local hot round way wrong

	for hot in 0 30; do
		recording "$frames" --hot "$hot"
		for round in $(seq $counts_rounds); do
			ceiling "counted_${hot}_$round"
			ceiling "kept_${hot}_$round" keep_likes
		done
		for way in counted kept; do
			value "${way}_${hot}_us" "$(best "$way" "$hot")"
			value "${way}_${hot}_events_per_s" "$(for round in $(seq $counts_rounds); do
				rate "${way}_${hot}_$round"; echo; done | sort -n | tail -n 1)"
		done
	done
	wrong=$(sql "select count(*) from bsky.kept_likes k full join (select subject_rkey as rkey, subject_actor as actor,
		count(*) as likes from bsky.likes where cid <> '' and subject_kind = 1 group by 1, 2) l using (rkey, actor)
		where coalesce(k.likes, 0) <> coalesce(l.likes, 0)")
	[ "$wrong" = 0 ] || bail "the table of counts is wrong in $wrong rows"
	sql 'create table hottest as select rkey, actor from bsky.kept_likes join bsky.feed using (rkey, actor)
		order by likes desc limit 1'
	sql 'create table newest as select rkey, actor from bsky.feed order by rkey desc limit 10'
	psql -XAtqc 'vacuum analyze'
	value counts_hot_likes "$(sql 'select likes from hottest join bsky.post_counts using (rkey, actor)')"
	looked_up counts_hot_ms 'select c.* from hottest join bsky.post_counts c using (rkey, actor)'
	looked_up counts_ten_ms 'select c.* from newest join bsky.post_counts c using (rkey, actor)'
	looked_up kept_ten_ms 'select c.* from newest join bsky.kept_likes c using (rkey, actor)'
}
