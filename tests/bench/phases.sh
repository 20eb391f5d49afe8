# SPDX-License-Identifier: MIT
# What `tests/bench/run --quick` measures (bash, to be sourced).

# ---- ceiling, drain, ingest ----

# ceiling PHASE [COMMAND]: PostgreSQL alone, the rows of the recording, built beforehand, over 2 connections. The
# schema is as COMMAND leaves it.
ceiling() {
	fresh 1
	${2-}
	now "$1: PostgreSQL alone"
	"$tool" ceiling "$recording.frames" "host=$PGHOST user=$PGUSER dbname=$PGDATABASE" 4096 2 \
		>"$T/measured" 2>"$T/ceiling.log" || bail "ceiling: $(tail -n 1 "$T/ceiling.log")"
	sed "/^value/!s/^/$1 /" "$T/measured" >>"$figures"
}

# A backlog into Redis while nothing is committed, then from Redis into PostgreSQL.
drain() {
	set_redis='max_events = 100000000; max_bytes = 20000000000L; replay_events = 1000;'
	fresh "$1"
	relay_hold "$recording.frames" --rate max
	hold_lock
	run_idle "$1"
	measure "fill_$1" filled "$last" 900 "cont=$relay_pid"
	measure "drain_$1" drained "$last" 1800 'fd=9 rollback;'
}

# Everything at once, from the relay's first byte to the last commit and acknowledgement.
ingest() {
	set_redis='max_events = 500000; replay_events = 1000;'
	fresh "$1"
	relay_hold "$recording.frames" --rate max
	run_idle "$1"
	measure "ingest_$1" drained "$last" 1800 "cont=$relay_pid"
}

# The ceiling comes before and after the two rates that are compared with it: machines drift.
rates() {
	local n

	recording "$frames"
	ceiling ceiling_a
	! wanted drain || drain 2
	! wanted ingest || ingest 2
	ceiling ceiling_b
	for n in 1 4; do
		! wanted drain || drain "$n"
		! wanted ingest || ingest "$n"
	done
	value ceiling_events_per_s $((($(rate ceiling_a) + $(rate ceiling_b)) / 2))
	for n in 1 2 4; do
		ratio "drain_score_$n" "$(rate "drain_$n")" "$(value_of ceiling_events_per_s)"
		ratio "ingest_score_$n" "$(rate "ingest_$n")" "$(value_of ceiling_events_per_s)"
	done
	value drain_score "$(value_of drain_score_2)"
	value ingest_score "$(value_of ingest_score_2)"
	value drain_events_per_s "$(rate drain_2)"
	value ingest_events_per_s "$(rate ingest_2)"
	value rss_mb "$(rss_of ingest_2)"
	value cpu_us_per_event "$(cpu_of ingest_2)"
}

value_of() {
	awk -v name="$1" '$1 == "value" && $2 == name { v = $3 } END { print v }' "$figures"
}

# Peak resident memory of all our processes of a phase, in MB.
rss_of() {
	awk -v phase="$1" '
		$1 == phase && $2 == "rss" && $3 ~ /^(reader|worker|keeper|monitor|supervisor)$/ { kb += $5 }
		END { if (kb) printf "%.1f", kb / 1024 }' "$figures"
}

# CPU-us per event of everything but the source.
cpu_of() {
	awk -v phase="$1" '
		$1 == phase && $2 == "cpu" && $3 != "relay" { us += $4 }
		END { if (us) printf "%.2f", us }' "$figures"
}

# ---- latency ----

latency_seconds=15 latency_warm_up=3

# Times of commits come from PostgreSQL (track_commit_timestamp), of receipt from the packs: an event counts
# from the receipt of the first event of its pack. A pending row that goes is noted by a trigger in the
# transaction that deletes it.
latency_setup() {
	psql -XAtq -v ON_ERROR_STOP=1 <<-'SQL'
		create schema bench;
		create table bench.gone (rkey bigint, actor bigint, kind smallint);
		create function bench.note() returns trigger language plpgsql as $$
		begin insert into bench.gone select rkey, actor, kind from old_rows; return null; end $$;
		create trigger note after delete on standpipe.pending referencing old table as old_rows
			for each statement execute function bench.note();
	SQL
}

# latency_figures AFTER-SEQ: "received" and "released" lines: count, p50, p99, p99.9, in ms.
latency_figures() {
	"$tool" packs "$T/redis.sock" "$stream" - >"$T/received" || bail "packs"
	psql -XAtq -F ' ' -v ON_ERROR_STOP=1 -v after="$1" <<-SQL
		create table bench.received (seq bigint, us bigint);
		\copy bench.received from '$T/received'
		create table bench.rows (seq bigint, actor bigint, at timestamptz);
		select format('insert into bench.rows select seq, actor, pg_xact_commit_timestamp(xmin) from bsky.%I', c.table_name)
		from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
		where table_schema = 'bsky' and column_name = 'seq' and table_type = 'BASE TABLE' \gexec
		select 'received', count(*), percentile_disc(array[0.5, 0.99, 0.999]) within group (order by ms) from (
			select round(extract(epoch from r.at) * 1000 - v.us / 1000.0, 2)::float8 as ms
			from bench.rows r join bench.received v using (seq)
			where seq > :after and actor not in (select actor from bsky.account_states where purge_seq is not null)) x;
		select 'released', count(*), percentile_disc(array[0.5, 0.99, 0.999]) within group (order by ms) from (
			select round(extract(epoch from pg_xact_commit_timestamp(g.xmin) - pg_xact_commit_timestamp(p.xmin)) * 1000, 2)::float8 as ms
			from bench.gone g join bsky.posts p using (rkey, actor)
			where g.kind = 1 and p.seq > :after) x;
		select 'left', count(*) from standpipe.pending q join bsky.posts p using (rkey, actor) where q.kind = 1 and p.cid <> '';
	SQL
}

latency() {
	local seq=$(($1 * latency_seconds))

	set_redis='replay_events = 100000000; replay_bytes = 20000000000L;'
	fresh 2
	latency_setup
	relay_hold "$recording.frames" --rate "$1"
	run_idle 2
	measure "latency_$1" filled "$seq" 120 "cont=$relay_pid"
	relay_stop
	measure "settle_$1" drained "$seq" 120 none
	now "latency_$1: evaluating"
	latency_figures $(($1 * latency_warm_up)) >"$T/latencies" || bail "no latencies"
	tr -d '{}' <"$T/latencies" | tr ',' ' ' | sed "s/^/latency_$1 ms /" >>"$figures"
}

# latency_of RATE received|released FIELD: 1 count, 2 p50, 3 p99, 4 p99.9
latency_of() {
	awk -v phase="latency_$1" -v what="$2" -v field="$3" '
		$1 == phase && $2 == "ms" && $3 == what { v = $(3 + field) } END { print v }' "$figures"
}

latencies() {
	local rate

	recording $((frames > 5000 * latency_seconds ? frames : 5000 * latency_seconds))
	pg_again track_commit_timestamp=on
	for rate in 500 2000 5000; do
		latency "$rate"
	done
	pg_again
	value latency_p50_ms "$(latency_of 2000 received 2)"
	value latency_p99_ms "$(latency_of 2000 received 3)"
	value latency_p999_ms "$(latency_of 2000 received 4)"
	value released_p50_ms "$(latency_of 2000 released 2)"
	value released_p99_ms "$(latency_of 2000 released 3)"
}

# ---- buffer ----

# Is every record in the database what the recording's generator says, and nothing else there?
buffer_compare() {
	# {"did":"...","collection":"...","rkey":"...","cid":"...",...
	cut -d '"' -f 4,8,12,16 --output-delimiter=$'\t' "$recording.records.jsonl" >"$T/want"
	psql -XAtq -v ON_ERROR_STOP=1 <<-SQL
		create temp table want (did text, collection text, rkey text, cid text);
		\copy want from '$T/want'
		set work_mem = '256MB';
		select count(*) || ' ' || count(*) filter (where w.cid is null or h.cid is null or w.cid <> h.cid)
		from want w full join (select did, collection, rkey, cid from bsky.records where state <> 'deleted') h
			using (did, collection, rkey);
	SQL
}

# The backlog of an hour and a half of the network, loaded and drained; every event is looked for.
buffer() {
	local empty full compared

	recording "$buffer_events" --unsigned
	set_redis='max_events = 100000000; max_bytes = 20000000000L; replay_events = 1000;'
	fresh 2 --maxmemory 2gb
	empty=$(redis_memory)
	relay_hold "$recording.frames" --rate max
	hold_lock
	run_idle 2
	measure buffer_fill filled "$last" 1800 "cont=$relay_pid"
	full=$(redis_memory)
	relay_stop
	relay_pid=
	now "buffer: every event is looked for in Redis"
	"$tool" packs "$T/redis.sock" "$stream" "$recording.frames" >"$T/measured" 2>"$T/packs.log" ||
		bail "the buffer is not what was sent: $(cat "$T/packs.log")"
	sed 's/^/buffer /' "$T/measured" >>"$figures"
	measure buffer_drain drained "$last" 3600 'fd=9 rollback;'
	now "buffer: every record is looked for in PostgreSQL"
	wait_until "[ \"\$(sql 'select seq from standpipe.watermark')\" = $last ]" 60 || bail "the watermark stays behind"
	compared=$(buffer_compare) || bail "could not compare"
	value buffer_events "$last"
	value buffer_records_compared "${compared% *}"
	value buffer_differences "${compared#* }"
	value redis_bytes_per_event "$(awk -v a="$empty" -v b="$full" -v n="$last" 'BEGIN { printf "%.1f", (b - a) / n }')"
	value events_in_2gb "$(awk -v a="$empty" -v b="$full" -v n="$last" 'BEGIN { printf "%d", 2147483648 / ((b - a) / n) }')"
	value buffer_mb "$(awk -v a="$empty" -v b="$full" 'BEGIN { printf "%.0f", (b - a) / 1e6 }')"
}
