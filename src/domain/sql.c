/* SPDX-License-Identifier: MIT */
#include "domain/sql.h"

#include "base/rules.h"
#include "domain/event.h"

static const char *const type_names[N_SQL_TYPES] = {
	[SQL_INT2] = "smallint",
	[SQL_INT4] = "integer",
	[SQL_INT8] = "bigint",
	[SQL_TEXT] = "text",
	[SQL_BYTEA] = "bytea",
	[SQL_JSONB] = "jsonb",
	[SQL_TIMESTAMPTZ] = "timestamptz",
	[SQL_TEXTS] = "text",
};

static const struct stored_column common[] = {
	{ "collection", SQL_TEXT },
	{ "rkey", SQL_INT8 },
	{ "actor", SQL_INT8 },
	{ "rev", SQL_INT8 },
	{ "epoch", SQL_INT4 },
	{ "seq", SQL_INT8 },
	{ "cid", SQL_BYTEA },
	{ "rkey_text", SQL_TEXT },
};

enum { N_COMMON = sizeof common / sizeof *common };

const char *sql_type_name(enum sql_type type)
{
	return type_names[type];
}

int sql_common_columns(const struct collection *c, struct stored_column *ret)
{
	int first = c->nsid ? 1 : 0;

	memcpy(ret, common + first, (size_t)(N_COMMON - first) * sizeof *common);
	return N_COMMON - first;
}

/* Every column in parameter order; returns how many, *ret_n_common of them common. */
static int all_columns(const struct collection *c, struct stored_column *ret, int *ret_n_common)
{
	*ret_n_common = sql_common_columns(c, ret);
	return *ret_n_common + collection_stored(c, ret + *ret_n_common);
}

static const char *comma(int i)
{
	return i ? ", " : "";
}

static void put_names(struct buf *out, const struct stored_column *cols, int n)
{
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s%s", comma(i), cols[i].name);
}

/* When the row in hand replaces the one that is there: the same order as in workers/merge. */
static void put_newer(struct buf *out)
{
	const char *position = "excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq";

	if (!RULE(rev_gate))
		return;
	if (!RULE(newest_epoch))
		position = "(excluded.epoch, excluded.seq) < (t.epoch, t.seq)";
	if (!RULE(minimal_position))
		position = "excluded.epoch > t.epoch";
	buf_printf(out, "\nWHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (%sexcluded.cid = t.cid AND (%s))",
		RULE(cid_order) ? "excluded.cid > t.cid OR " : "", position);
}

/* unnest() in the list of a SELECT: all arrays go along row by row. In FROM each would become a table of its own
 * first (measured: 1.3 us more per like). */
void sql_insert(const struct collection *c, struct buf *out)
{
	struct stored_column cols[STORED_MAX];
	int n_common, n = all_columns(c, cols, &n_common);

	buf_printf(out, "INSERT INTO bsky.%s AS t (", c->table);
	put_names(out, cols, n);
	buf_add_str(out, ")\nSELECT ");
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s%s%s", comma(i), cols[i].name, cols[i].type == SQL_TEXTS ? "::text[]" : "");
	buf_add_str(out, "\nFROM (SELECT ");
	for (int i = 0; i < n; i++)
		buf_printf(out, "%sunnest($%d::%s[]) AS %s", comma(i), i + 1, type_names[cols[i].type], cols[i].name);
	buf_add_str(out, ") AS u");
	if (!RULE(tombstone))
		buf_printf(out, "\nWHERE u.cid <> '' OR (u.rkey, u.actor) IN (SELECT rkey, actor FROM bsky.%s)", c->table);
}

void sql_upsert(const struct collection *c, struct buf *out)
{
	struct stored_column cols[STORED_MAX];
	int n_common, n = all_columns(c, cols, &n_common);
	int n_key = c->nsid ? 2 : 3;

	sql_insert(c, out);
	buf_add_str(out, "\nON CONFLICT (");
	put_names(out, cols, n_key);
	buf_add_str(out, ") DO UPDATE SET ");
	for (int i = n_key; i < n; i++)
		buf_printf(out, "%s%s = excluded.%s", comma(i - n_key), cols[i].name, cols[i].name);
	put_newer(out);
	buf_add_str(out, "\nRETURNING t.xmax = 0");
}

/* The transaction itself wrote a row whose xmin is its own; one it updated it had locked before. A row that it
 * was given and did not write stays locked until its end, so the answer holds. */
void sql_fate(const struct collection *c, struct buf *out)
{
	int collection = c->nsid ? 0 : 1;

	buf_printf(out, "SELECT u.i, CASE WHEN t.xmin = pg_current_xact_id()::xid THEN CASE WHEN t.xmax = 0 THEN %d ELSE %d END\n"
			"  WHEN t.rev = u.rev AND t.cid = u.cid THEN %d ELSE %d END\nFROM unnest(",
		SQL_FATE_INSERTED, SQL_FATE_UPDATED, SQL_FATE_SAME, SQL_FATE_STALE);
	buf_printf(out, "%s$%d::bigint[], $%d::bigint[], $%d::bigint[], $%d::bytea[]) WITH ORDINALITY",
		collection ? "$1::text[], " : "", collection + 1, collection + 2, collection + 3, collection + 4);
	buf_printf(out, " AS u (%srkey, actor, rev, cid, i)\n", collection ? "collection, " : "");
	buf_printf(out, "JOIN bsky.%s t ON %st.rkey = u.rkey AND t.actor = u.actor", c->table,
		collection ? "t.collection = u.collection AND " : "");
}

/* A row is judged by its own position in the same statement: one that a worker replaces meanwhile is judged
 * anew. purge_epoch IS NOT NULL names the partial index. */
void sql_purge(const struct collection *c, struct buf *out)
{
	struct stored_column cols[STORED_MAX];
	int n = collection_stored(c, cols);

	buf_printf(out, "UPDATE bsky.%s t SET ", c->table);
	for (int i = 0; i < n; i++)
		buf_printf(out, "%s%s = NULL", comma(i), cols[i].name);
	buf_add_str(out, "\nFROM bsky.account_states s\n"
			 "WHERE t.ctid >= $1::tid AND t.ctid < $2::tid AND s.actor = t.actor\n"
			 "  AND s.purge_epoch IS NOT NULL AND (s.purge_epoch, s.purge_seq) > ($3::bigint, $4::bigint)\n"
			 "  AND (s.purge_epoch, s.purge_seq) <= ($5::bigint, $6::bigint)\n"
			 "  AND (t.epoch, t.seq) <= (s.purge_epoch, s.purge_seq)\n"
			 "  AND num_nonnulls(");
	for (int i = 0; i < n; i++)
		buf_printf(out, "%st.%s", comma(i), cols[i].name);
	buf_add_str(out, ") > 0");
}

/* ---- the view ---- */

static bool is_ref(enum column_type type)
{
	return type == COLUMN_REF || type == COLUMN_STRONGREF || type == COLUMN_QUOTE;
}

static void put_kind_nsid(struct buf *out)
{
	buf_add_str(out, "CREATE OR REPLACE FUNCTION bsky.kind_nsid(kind smallint) RETURNS text\n"
			 "LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE kind");
	for (int k = 1; k < N_KINDS; k++)
		buf_printf(out, " WHEN %d THEN '%s'", k, collection_of_kind((enum kind)k)->nsid);
	buf_add_str(out, " END $$;\n\n");
}

static void put_has_content(struct buf *out)
{
	buf_add_str(out, "CREATE OR REPLACE FUNCTION bsky.has_content(rkey bigint, actor bigint, kind smallint) "
			 "RETURNS boolean\nLANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT CASE kind");
	for (int k = 1; k < N_KINDS; k++)
		buf_printf(out, "\n  WHEN %d THEN EXISTS (SELECT FROM bsky.%s p WHERE p.rkey = $1 AND p.actor = $2)",
			k, collection_of_kind((enum kind)k)->table);
	buf_add_str(out, " ELSE false END $$;\n\n");
}

static void put_class_name(struct buf *out)
{
	buf_add_str(out, "CREATE OR REPLACE FUNCTION standpipe.class_name(class smallint) RETURNS text\n"
			 "LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE class");
	for (int i = 0; i < n_collections; i++)
		buf_printf(out, " WHEN %d THEN '%s'", collections[i].id, collections[i].nsid ? collections[i].nsid : "other collections");
	buf_printf(out, " WHEN %d THEN '#suspect'", SQL_CLASS_OF_EVENTS);
	for (int kind = EVENT_COMMIT; kind <= EVENT_SKIP; kind++)
		buf_printf(out, " WHEN %d THEN '#%s'", SQL_CLASS_OF_EVENTS + kind, event_kind_name((enum event_kind)kind));
	buf_add_str(out, " END $$;\n\n");
}

/* "the referenced key has no content row", for one reference column. */
static void put_missing(struct buf *out, const struct column *col)
{
	const char *or = "";

	buf_add_str(out, "(");
	for (int k = 1; k < N_KINDS; k++) {
		if (!(col->kinds & KINDS_OF(k)))
			continue;
		buf_printf(out,
			"%st.%s_kind = %d AND NOT EXISTS (SELECT FROM bsky.%s p WHERE p.rkey = t.%s_rkey"
			" AND p.actor = t.%s_actor)",
			or, col->name, k, collection_of_kind((enum kind)k)->table, col->name, col->name);
		or = "\n      OR ";
	}
	buf_add_str(out, ")");
}

static void put_state(struct buf *out, const struct collection *c)
{
	bool any = false;

	buf_add_str(out, "  CASE WHEN d.dead THEN 'deleted'\n");
	for (const struct column *col = c->columns; RULE(waiting) && col->name; col++) {
		if (!is_ref(col->type))
			continue;
		buf_add_str(out, any ? "\n    OR " : "    WHEN ");
		put_missing(out, col);
		any = true;
	}
	buf_printf(out, "%s    ELSE 'live' END AS state,\n", any ? " THEN 'waiting'\n" : "");
}

/* SQL that gives one FIXED column's field back. */
static void put_field(struct buf *out, const struct column *col)
{
	static const char uri[] = "'at://' || (SELECT a2.did FROM bsky.actors a2 WHERE a2.id = t.%s_actor) || '/' || "
				  "bsky.kind_nsid(t.%s_kind) || '/' || CASE WHEN t.%s_rkey >= 0 THEN bsky.tid(t.%s_rkey) "
				  "ELSE (SELECT k.rkey_text FROM bsky.keys k WHERE k.rkey = t.%s_rkey AND k.actor = "
				  "t.%s_actor AND k.kind = t.%s_kind) END";
	const char *n = col->name;

	buf_printf(out, ", '%s', ", col->path);
	if (col->type == COLUMN_TIME) {
		buf_printf(out, "bsky.time(t.%s)", n);
	} else if (col->type == COLUMN_ACTOR) {
		buf_printf(out, "(SELECT a2.did FROM bsky.actors a2 WHERE a2.id = t.%s)", n);
	} else if (col->type == COLUMN_STRONGREF) {
		buf_add_str(out, "jsonb_build_object('uri', ");
		buf_printf(out, uri, n, n, n, n, n, n, n);
		buf_printf(out, ", 'cid', bsky.cid(t.%s_cid))", n);
	} else {
		buf_printf(out, uri, n, n, n, n, n, n, n);
	}
}

static void put_value(struct buf *out, const struct collection *c)
{
	if (c->shape == SHAPE_CONTENT) {
		buf_add_str(out, "  CASE WHEN NOT d.dead THEN t.value END AS value,\n");
		return;
	}
	buf_printf(out, "  CASE WHEN d.dead THEN NULL WHEN t.raw IS NOT NULL THEN t.value\n"
			"    ELSE jsonb_build_object('$type', '%s'", c->nsid);
	for (const struct column *col = c->columns; col->name; col++)
		put_field(out, col);
	buf_add_str(out, ") || coalesce(t.extra, '{}') END AS value,\n");
}

/* One collection's branch of the view. */
static void put_branch(struct buf *out, const struct collection *c)
{
	char nsid[340] = "t.collection";
	struct buf name = BUF_INIT;

	if (c->nsid) {
		buf_printf(&name, "'%s'::text", c->nsid);
		memcpy(nsid, buf_str(&name), name.n + 1);
		buf_done(&name);
	}
	buf_printf(out, "SELECT a.did, %s AS collection, bsky.rkey(t.rkey, t.rkey_text) AS rkey,\n"
			"  'at://' || a.did || '/' || %s || '/' || bsky.rkey(t.rkey, t.rkey_text) AS uri,\n"
			"  CASE WHEN NOT d.dead THEN bsky.cid(t.cid) END AS cid, bsky.tid(t.rev) AS rev,\n",
		nsid, nsid);
	put_state(out, c);
	put_value(out, c);
	buf_printf(out, "  CASE WHEN NOT d.dead THEN t.raw END AS raw, t.rkey AS rkey_id, t.actor AS actor_id\n"
			"FROM bsky.%s t JOIN bsky.actors a ON a.id = t.actor\n"
			"  LEFT JOIN bsky.account_states s ON s.actor = t.actor\n"
			"  CROSS JOIN LATERAL (SELECT t.cid = ''%s AS dead) d\n",
		c->table,
		RULE(purge_before) ? " OR\n    coalesce((t.epoch, t.seq) <= (s.purge_epoch, s.purge_seq), false)" : "");
}

/* Text to numbers first, so that each branch of the view is a look-up by key or nothing. */
static void put_record(struct buf *out)
{
	buf_add_str(out,
		"CREATE OR REPLACE FUNCTION bsky.record(uri text) RETURNS SETOF bsky.records\n"
		"LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT * FROM bsky.records r\n"
		"  WHERE r.collection = split_part($1, '/', 4) AND r.rkey_id = bsky.rkey_id(split_part($1, '/', 5))\n"
		"    AND r.actor_id = bsky.actor_id(split_part($1, '/', 3)) $$;\n"
		"COMMENT ON FUNCTION bsky.record(text) IS 'The record of an at-uri (with a DID), looked up by key';\n");
}

void sql_records_view(struct buf *out)
{
	put_kind_nsid(out);
	put_has_content(out);
	put_class_name(out);
	buf_add_str(out, "CREATE OR REPLACE VIEW bsky.records AS\n");
	for (int i = 0; i < n_collections; i++) {
		if (i)
			buf_add_str(out, "UNION ALL\n");
		put_branch(out, &collections[i]);
	}
	buf_add_str(out, ";\nCOMMENT ON VIEW bsky.records IS 'Every record ever seen or deleted: state is live, "
			 "waiting (something it refers to has not been seen yet) or deleted';\n");
	put_record(out);
}
