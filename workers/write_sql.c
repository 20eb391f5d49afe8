/* SPDX-License-Identifier: MIT */
#include "workers/write_sql.h"

#include "domain/sql.h"

#include <stdio.h>
#include <stdlib.h>

const struct pg_stmt sql_actors = { "actors",
	"INSERT INTO bsky.actors (id, did) SELECT unnest($1::bigint[]), unnest($2::text[]) ON CONFLICT DO NOTHING" };

/* Ids are keyed hashes of DIDs: should two ever meet, the batch is refused, bisected, and the event that
 * brought the second DID becomes a dead letter. */
const struct pg_stmt sql_actors_check = { "actors_check",
	"SELECT bsky.refuse_actor(u.id, u.did) FROM (SELECT unnest($1::bigint[]) AS id, unnest($2::text[]) AS did) AS u "
	"JOIN bsky.actors a ON a.id = u.id WHERE a.did <> u.did" };

/* A referenced key that is not there yet becomes a gap: its pending row is born in the transaction that makes the
 * key. Whoever finds the key made by another makes no pending row: either the other has made that too, or it brings
 * the content. And who brings the content has waited here for the maker of the key, whose pending row it then sees
 * and ends; so no row is left of a parent that is there. Both tables are filled in key order, so two workers cannot
 * deadlock. The keeper looks for the first time after 5 s: most parents that come at all have come by then.
 * A key that was not there had no pending row, its foreign key says so: that insert need not look (4.5 us less a
 * row).
 * IS TRUE: without it the planner would make a join of IN, and a join is a loop in a loop in this session. */
const struct pg_stmt sql_keys = { "keys",
	"WITH u AS MATERIALIZED (\n"
	"  SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::smallint[]) AS kind,\n"
	"    unnest($4::text[]) AS rkey_text, unnest($5::boolean[]) AS own, unnest($6::bigint[]) AS child_rkey,\n"
	"    unnest($7::bigint[]) AS child_actor, unnest($8::smallint[]) AS child_kind),\n"
	"made AS (INSERT INTO bsky.keys (rkey, actor, kind, rkey_text)\n"
	"  SELECT rkey, actor, kind, rkey_text FROM u ON CONFLICT DO NOTHING RETURNING rkey, actor, kind)\n"
	"INSERT INTO standpipe.pending (rkey, actor, kind, child_rkey, child_actor, child_kind, next_retry)\n"
	"SELECT rkey, actor, kind, child_rkey, child_actor, child_kind, now() + interval '5 s' FROM u\n"
	"WHERE NOT own AND ((rkey, actor, kind) IN (SELECT rkey, actor, kind FROM made)) IS TRUE" };

const struct pg_stmt sql_repos = { "repos",
	"INSERT INTO bsky.repos AS t (actor, rev, data, commit_cid)\n"
	"SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bytea[]), unnest($4::bytea[])\n"
	"ON CONFLICT (actor) DO UPDATE SET rev = excluded.rev, data = excluded.data, commit_cid = excluded.commit_cid\n"
	"WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND excluded.commit_cid > t.commit_cid" };

const struct pg_stmt sql_repo_syncs = { "repo_syncs",
	"INSERT INTO bsky.repo_syncs AS t (actor, rev, data)\n"
	"SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bytea[])\n"
	"ON CONFLICT (actor) DO UPDATE SET rev = excluded.rev, data = excluded.data\n"
	"WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND excluded.data > t.data" };

/* Each group of columns is joined by its own position: the newest one wins. */
const struct pg_stmt sql_account_states = { "account_states",
	"INSERT INTO bsky.account_states AS t (actor, handle, handle_epoch, handle_seq, active, status,\n"
	"  account_epoch, account_seq, purge_epoch, purge_seq)\n"
	"SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::text[],\n"
	"  $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])\n"
	"ON CONFLICT (actor) DO UPDATE SET\n"
	"  (handle, handle_epoch, handle_seq) = (SELECT CASE WHEN n THEN excluded.handle ELSE t.handle END,\n"
	"    CASE WHEN n THEN excluded.handle_epoch ELSE t.handle_epoch END, CASE WHEN n THEN excluded.handle_seq ELSE t.handle_seq END\n"
	"    FROM (SELECT coalesce((excluded.handle_epoch, excluded.handle_seq) > (t.handle_epoch, t.handle_seq), t.handle_seq IS NULL) AS n) x),\n"
	"  (active, status, account_epoch, account_seq) = (SELECT CASE WHEN n THEN excluded.active ELSE t.active END,\n"
	"    CASE WHEN n THEN excluded.status ELSE t.status END, CASE WHEN n THEN excluded.account_epoch ELSE t.account_epoch END,\n"
	"    CASE WHEN n THEN excluded.account_seq ELSE t.account_seq END\n"
	"    FROM (SELECT coalesce((excluded.account_epoch, excluded.account_seq) > (t.account_epoch, t.account_seq), t.account_seq IS NULL) AS n) x),\n"
	"  (purge_epoch, purge_seq) = (SELECT CASE WHEN n THEN excluded.purge_epoch ELSE t.purge_epoch END,\n"
	"    CASE WHEN n THEN excluded.purge_seq ELSE t.purge_seq END\n"
	"    FROM (SELECT coalesce((excluded.purge_epoch, excluded.purge_seq) > (t.purge_epoch, t.purge_seq), t.purge_seq IS NULL) AS n) x)" };

const struct pg_stmt sql_pending_done = { "pending_done",
	"DELETE FROM standpipe.pending p USING (\n"
	"  SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::smallint[]) AS kind) AS u\n"
	"WHERE p.rkey = u.rkey AND p.actor = u.actor AND p.kind = u.kind" };

const struct pg_stmt sql_pending_again = { "pending_again",
	"INSERT INTO standpipe.pending (rkey, actor, kind)\n"
	"SELECT k.rkey, k.actor, k.kind FROM unnest($1::bigint[], $2::bigint[], $3::smallint[]) AS u (rkey, actor, kind)\n"
	"JOIN bsky.keys k ON k.rkey = u.rkey AND k.actor = u.actor AND k.kind = u.kind\n"
	"WHERE NOT bsky.has_content(k.rkey, k.actor, k.kind) ON CONFLICT DO NOTHING" };

const struct pg_stmt sql_gaps = { "gaps",
	"INSERT INTO standpipe.gaps (epoch, after_epoch, after_seq, first_seq, reason)\n"
	"SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) ON CONFLICT DO NOTHING" };

/* An event delivered twice in one batch is one dead letter; a statement may not touch a row twice. */
const struct pg_stmt sql_dead_letters = { "dead_letters",
	"INSERT INTO standpipe.dead_letters AS t (epoch, seq, op, id, class, reason, sqlstate, did, collection, rkey, bytes, version)\n"
	"SELECT DISTINCT ON (epoch, seq, op, sha256(bytes)) epoch, seq, op, sha256(bytes), class, reason, sqlstate, did, collection, rkey, bytes, '" STANDPIPE_VERSION "'\n"
	"FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],\n"
	"  $10::bytea[]) AS u (epoch, seq, op, class, reason, sqlstate, did, collection, rkey, bytes)\n"
	"ON CONFLICT (epoch, seq, op, id) DO UPDATE SET attempts = t.attempts + 1, last_at = now()" };

/* Redis had lost what it had, and the source was read again: of packs that now end where another began elsewhere the
 * present one counts, and the chain of packs goes over it. What the other said becomes "redelivered"; the rows it
 * inserted are there all the same. */
const struct pg_stmt sql_ledger_recut = { "ledger_recut",
	/* OFFSET 0: one look-up per pack, whatever the planner thinks of a table that is always being emptied */
	"WITH gone AS (DELETE FROM standpipe.ledger l WHERE l.ctid = ANY (ARRAY(SELECT x.ctid\n"
	"    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u (epoch, seq, prev_epoch, prev_seq)\n"
	"    CROSS JOIN LATERAL (SELECT o.ctid FROM standpipe.ledger o WHERE o.epoch = u.epoch AND o.seq = u.seq\n"
	"      AND (o.prev_epoch, o.prev_seq) <> (u.prev_epoch, u.prev_seq) OFFSET 0) x))\n"
	"  RETURNING l.counts, l.redelivered)\n"
	"INSERT INTO standpipe.ledger_totals AS t (class, redelivered, inserted)\n"
	"SELECT g.counts[i][1], sum(g.counts[i][2] * (1 + g.redelivered)), sum(g.counts[i][8])\n"
	"FROM gone g CROSS JOIN LATERAL generate_subscripts(g.counts, 1) i GROUP BY 1 ORDER BY 1\n"
	"ON CONFLICT (class) DO UPDATE SET redelivered = t.redelivered + excluded.redelivered,\n"
	"  inserted = t.inserted + excluded.inserted" };

/* One row per pack, written by the transaction that finishes it. A pack that comes again is counted apart. */
const struct pg_stmt sql_ledger = { "ledger",
	"INSERT INTO standpipe.ledger AS t (epoch, seq, prev_epoch, prev_seq, first_ordinal, n_events, redelivered, counts)\n"
	"SELECT epoch, seq, prev_epoch, prev_seq, first_ordinal, n_events, redelivered, counts::integer[]\n"
	"FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[], $8::text[])\n"
	"  AS u (epoch, seq, prev_epoch, prev_seq, first_ordinal, n_events, redelivered, counts)\n"
	/* the numbers that Redis has now, should it have numbered anew: they meet at the end of the pack */
	"ON CONFLICT (epoch, seq) DO UPDATE SET redelivered = t.redelivered + 1 + excluded.redelivered,\n"
	"  first_ordinal = excluded.first_ordinal + excluded.n_events - t.n_events" };

/* Rows made for a part of a pack, or for no pack at all: should the rest never come from here, they are counted. */
const struct pg_stmt sql_ledger_part = { "ledger_part",
	"INSERT INTO standpipe.ledger_totals AS t (class, inserted) SELECT * FROM unnest($1::smallint[], $2::bigint[])\n"
	"ON CONFLICT (class) DO UPDATE SET inserted = t.inserted + excluded.inserted" };

static struct pg_stmt derive(const char *name, void (*sql)(const struct collection *, struct buf *), int c)
{
	struct buf text = BUF_INIT;

	sql(&collections[c], &text);
	return (struct pg_stmt){ .name = name, .sql = buf_str(&text) };
}

void write_sql_init(struct write_sql *w)
{
	for (int i = 0; i < n_collections; i++) {
		snprintf(w->insert_names[i], sizeof w->insert_names[i], "insert_%s", collections[i].table);
		snprintf(w->fate_names[i], sizeof w->fate_names[i], "fate_%s", collections[i].table);
		w->insert[i] = derive(w->insert_names[i], sql_insert, i);
		w->upsert[i] = derive(collections[i].table, sql_upsert, i);
		w->fate[i] = derive(w->fate_names[i], sql_fate, i);
	}
}

void write_sql_done(struct write_sql *w)
{
	for (int i = 0; i < n_collections; i++) {
		free((void *)(uintptr_t)w->insert[i].sql);
		free((void *)(uintptr_t)w->upsert[i].sql);
		free((void *)(uintptr_t)w->fate[i].sql);
	}
}
