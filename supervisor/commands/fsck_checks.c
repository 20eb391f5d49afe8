/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/fsck.h"

#include "domain/collection.h"

#include <assert.h>
#include <stdio.h>

/* ---- what the schema must have, from the table of collections ---- */

enum { MAX_FOREIGN_KEYS = 64, MAX_FK_COLUMNS = 3 };

/* One column refers to bsky.actors, three to bsky.keys. */
struct foreign_key {
	const char *schema, *table;
	int n_columns;
	char columns[MAX_FK_COLUMNS][48];
};

static void add_fk(
	struct foreign_key *ret, int *n, const char *schema, const char *table, const char *actor)
{
	assert(*n < MAX_FOREIGN_KEYS);
	ret[*n] = (struct foreign_key){schema, table, 1, {""}};
	snprintf(ret[(*n)++].columns[0], sizeof ret->columns[0], "%s", actor);
}

/* prefix is the reference's name with its underscore; "": the row's own key. */
static void add_key_fk(
	struct foreign_key *ret, int *n, const char *schema, const char *table, const char *prefix)
{
	static const char *const suffixes[MAX_FK_COLUMNS] = {"rkey", "actor", "kind"};

	assert(*n < MAX_FOREIGN_KEYS);
	ret[*n] = (struct foreign_key){schema, table, MAX_FK_COLUMNS, {""}};
	for (int i = 0; i < MAX_FK_COLUMNS; i++)
		snprintf(ret[*n].columns[i], sizeof ret->columns[i], "%s%s", prefix, suffixes[i]);
	(*n)++;
}

static bool is_reference(const struct column *col)
{
	return col->type == COLUMN_REF || col->type == COLUMN_STRONGREF ||
	       col->type == COLUMN_QUOTE;
}

static void add_collection_fks(struct foreign_key *ret, int *n, const struct collection *c)
{
	char prefix[40];

	if (c->kind)
		add_key_fk(ret, n, "bsky", c->table, ""); /* the key in turn refers to the actor */
	else
		add_fk(ret, n, "bsky", c->table, "actor");
	for (const struct column *col = c->columns; col->name; col++) {
		snprintf(prefix, sizeof prefix, "%s_", col->name);
		if (is_reference(col))
			add_key_fk(ret, n, "bsky", c->table, prefix);
		else if (col->type == COLUMN_ACTOR)
			add_fk(ret, n, "bsky", c->table, col->name);
	}
}

static int foreign_keys(struct foreign_key *ret)
{
	int n = 0;

	add_fk(ret, &n, "bsky", "keys", "actor");
	add_fk(ret, &n, "bsky", "account_states", "actor");
	add_fk(ret, &n, "bsky", "repos", "actor");
	add_fk(ret, &n, "bsky", "repo_syncs", "actor");
	add_key_fk(ret, &n, "standpipe", "pending", "");
	for (int i = 0; i < n_collections; i++)
		add_collection_fks(ret, &n, &collections[i]);
	return n;
}

/* ---- names in a check's SQL ---- */

/* What a piece of SQL is about: as far as the scope gives it. */
struct place {
	const struct collection *c;
	const struct column *ref;
	const struct foreign_key *fk;
};

static const char *target(const struct foreign_key *fk)
{
	return fk->n_columns == 1 ? "actors" : "keys";
}

static void put_fk_columns(
	const struct foreign_key *fk, const char *before, const char *between, struct buf *out)
{
	for (int i = 0; i < fk->n_columns; i++)
		buf_printf(out, "%s%s%s", i ? between : "", before, fk->columns[i]);
}

static void put_table(const struct place *p, struct buf *out)
{
	if (p->fk)
		buf_printf(out, "%s.%s", p->fk->schema, p->fk->table);
	else
		buf_printf(out, "bsky.%s", p->c->table);
}

static void put_nsid(const struct place *p, struct buf *out)
{
	if (p->c->nsid)
		buf_printf(out, "'%s'", p->c->nsid);
	else
		buf_add_str(out, "t.collection");
}

static void put_class(const struct place *p, struct buf *out)
{
	buf_printf(out, "%d", p->c->id);
}

/* Everything but key and version. */
static void put_content(const struct place *p, struct buf *out)
{
	struct stored_column cols[STORED_MAX];
	int n = collection_stored(p->c, cols);

	for (int i = 0; i < n; i++)
		buf_printf(out, "%st.%s", i ? ", " : "", cols[i].name);
}

static void put_reference(const struct place *p, struct buf *out)
{
	buf_add_str(out, p->ref->name);
}

static void put_allowed_kinds(const struct place *p, struct buf *out)
{
	const char *comma = "";

	for (int kind = 1; kind < N_KINDS; kind++) {
		if (!(p->ref->kinds & KINDS_OF(kind)))
			continue;
		buf_printf(out, "%s%d", comma, kind);
		comma = ", ";
	}
}

static void put_columns(const struct place *p, struct buf *out)
{
	put_fk_columns(p->fk, "", ", ", out);
}

static void put_values(const struct place *p, struct buf *out)
{
	put_fk_columns(p->fk, "t.", ", ", out);
}

static void put_target(const struct place *p, struct buf *out)
{
	buf_printf(out, "bsky.%s", target(p->fk));
}

static void put_dangling(const struct place *p, struct buf *out)
{
	static const char *const of_actors[] = {"id"}, *const of_keys[] = {"rkey", "actor", "kind"};
	const char *const *names = p->fk->n_columns == 1 ? of_actors : of_keys;

	buf_printf(out, "NOT EXISTS (SELECT FROM bsky.%s p WHERE ", target(p->fk));
	for (int i = 0; i < p->fk->n_columns; i++)
		buf_printf(out, "%sp.%s = t.%s", i ? " AND " : "", names[i], p->fk->columns[i]);
	buf_add_str(out, ")");
	for (int i = 0; i < p->fk->n_columns; i++)
		buf_printf(out, " AND t.%s IS NOT NULL", p->fk->columns[i]);
}

/* Every foreign key as (schema, table, columns, target). */
static void put_expected(const struct place *p, struct buf *out)
{
	struct foreign_key fks[MAX_FOREIGN_KEYS];
	int n = foreign_keys(fks);

	(void)p;
	for (int i = 0; i < n; i++) {
		buf_printf(out, "%s('%s', '%s', '", i ? ", " : "", fks[i].schema, fks[i].table);
		put_fk_columns(&fks[i], "", ", ", out);
		buf_printf(out, "', '%s')", target(&fks[i]));
	}
}

/* Every key that has content, tombstones included. */
static void put_present(const struct place *p, struct buf *out)
{
	const char *glue = "";

	(void)p;
	for (int kind = 1; kind < N_KINDS; kind++) {
		buf_printf(out, "%sSELECT rkey, actor, kind FROM bsky.%s", glue,
			collection_of_kind((enum kind)kind)->table);
		glue = " UNION ALL ";
	}
}

static const struct name {
	const char *name;
	void (*put)(const struct place *p, struct buf *out);
} names[] = {
	{"table", put_table},
	{"nsid", put_nsid},
	{"class", put_class},
	{"content", put_content},
	{"reference", put_reference},
	{"allowed_kinds", put_allowed_kinds},
	{"columns", put_columns},
	{"values", put_values},
	{"target", put_target},
	{"dangling", put_dangling},
	{"expected", put_expected},
	{"present", put_present},
};

static const struct name *name_find(struct slice s)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (slice_is(s, names[i].name))
			return &names[i];
	return NULL;
}

/* Appends sql with every {name} filled in, after UNION ALL if it is not the first piece. */
static void put_piece(struct buf *out, const char *sql, const struct place *p)
{
	const char *open, *close;

	if (out->n)
		buf_add_str(out, "\nUNION ALL\n");
	for (; (open = strchr(sql, '{')); sql = close + 1) {
		const struct name *name;

		close = strchr(open, '}');
		assert(close);
		name = name_find(slice_of(open + 1, (size_t)(close - open) - 1));
		assert(name);
		buf_add(out, sql, (size_t)(open - sql));
		name->put(p, out);
	}
	buf_add_str(out, sql);
}

static void put_references(struct buf *out, const char *sql, const struct collection *c)
{
	for (const struct column *col = c->columns; col->name; col++)
		if (is_reference(col))
			put_piece(out, sql, &(struct place){.c = c, .ref = col});
}

void fsck_check_sql(const struct fsck_check *check, struct buf *out)
{
	struct foreign_key fks[MAX_FOREIGN_KEYS];
	int n_fks = foreign_keys(fks);

	buf_reset(out);
	if (check->scope == FSCK_ONCE)
		put_piece(out, check->sql, &(struct place){0});
	for (int i = 0; check->scope == FSCK_EACH_TABLE && i < n_collections; i++)
		put_piece(out, check->sql, &(struct place){.c = &collections[i]});
	for (int i = 0; check->scope == FSCK_EACH_REFERENCE && i < n_collections; i++)
		put_references(out, check->sql, &collections[i]);
	for (int i = 0; check->scope == FSCK_EACH_FOREIGN_KEY && i < n_fks; i++)
		put_piece(out, check->sql, &(struct place){.fk = &fks[i]});
}

/* ---- THE table ---- */

/* clang-format off */
#define URI "'at://' || (SELECT a.did FROM bsky.actors a WHERE a.id = t.actor) || '/' || {nsid} || '/' ||" \
	" bsky.rkey(t.rkey, t.rkey_text) AS uri"

/* About so many pages of a table, at random; all of a smaller one. */
#define SAMPLE(table, pages) \
	table " t TABLESAMPLE SYSTEM (least(100, 100.0 * " pages " / greatest(1, pg_relation_size('" table "') / 8192)))"

/* Counts children of the sampled posts anew: by one pass over the whole table, no index (the + 0), and with
 * its own idea of what is shown. */
#define RECOUNT(name, table, prefix, kind)                                                                    \
	name " AS (SELECT s.rkey, s.actor, count(*) AS n FROM sample s"                                       \
	" JOIN bsky." table " x ON x." prefix "_rkey + 0 = s.rkey AND x." prefix "_actor + 0 = s.actor" kind   \
	" LEFT JOIN bsky.account_states y ON y.actor = x.actor"                                               \
	" WHERE length(x.cid) > 0 AND y.active IS NOT FALSE AND (y.purge_seq IS NULL"                         \
	"  OR x.epoch > y.purge_epoch OR x.epoch = y.purge_epoch AND x.seq > y.purge_seq) GROUP BY 1, 2)"

const struct fsck_check fsck_checks[] = {
	{
		.name = "foreign_keys",
		.proves = "every foreign key is declared, valid and enforced",
		.to_do = "declare what is missing as in sql/002_records.sql; ALTER TABLE ... VALIDATE CONSTRAINT;"
			" ALTER TABLE ... ENABLE TRIGGER ALL",
		.sql = "WITH expected (schema, name, columns, target) AS (VALUES {expected}),"
			" found AS (SELECT n.nspname AS schema, r.relname AS name, t.relname AS target,"
			"  (SELECT string_agg(a.attname, ', ' ORDER BY k.i) FROM unnest(c.conkey) WITH ORDINALITY k (col, i)"
			"   JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.col) AS columns,"
			"  c.convalidated, EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = c.oid"
			"   AND g.tgenabled NOT IN ('O', 'A')) AS disabled"
			"  FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace"
			"  JOIN pg_class t ON t.oid = c.confrelid"
			"  WHERE c.contype = 'f' AND n.nspname IN ('bsky', 'standpipe'))"
			" SELECT schema || '.' || name AS \"table\", columns, target, 'missing' AS problem FROM expected"
			"  WHERE (schema, name, columns, target) NOT IN (SELECT schema, name, columns, target FROM found)"
			" UNION ALL SELECT schema || '.' || name, columns, target,"
			"  CASE WHEN disabled THEN 'trigger disabled' ELSE 'not valid' END"
			"  FROM found WHERE disabled OR NOT convalidated",
	},
	{
		.name = "indexes",
		.proves = "every index is valid",
		.to_do = "REINDEX INDEX ...",
		.sql = "SELECT indexrelid::regclass AS index, indrelid::regclass AS \"table\" FROM pg_index i"
			" JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace IN ('bsky'::regnamespace,"
			" 'standpipe'::regnamespace) AND NOT (indisvalid AND indisready AND indislive)",
	},
	{
		.name = "orphans",
		.proves = "every actor and key that a row refers to is there",
		.to_do = "foreign keys forbid this: it was done by a superuser or by broken storage; restore the missing"
			" rows of bsky.actors and bsky.keys from a backup, or replay (standpipe rewind)",
		.scope = FSCK_EACH_FOREIGN_KEY,
		.sql = "SELECT '{table}' AS \"table\", t.actor, to_jsonb(t)->'rkey' AS rkey, '{columns}' AS columns,"
			" concat_ws(' ', {values}) AS refers_to FROM {table} t WHERE {dangling}",
	},
	{
		.name = "pending_missing",
		.proves = "every missing parent is in the pending queue",
		.to_do = "while events are still in Redis, let standpipe run and catch up; what stays is looked for again"
			" after INSERT INTO standpipe.pending (rkey, actor, kind) with its key (one that standpipe pending drop"
			" removed is found here, too)",
		.settles = true,
		.sql = "SELECT bsky.key_uri(t.rkey, t.actor, t.kind) AS uri, t.rkey, t.actor, t.kind FROM bsky.keys t"
			" WHERE NOT EXISTS (SELECT FROM ({present}) c WHERE c.rkey = t.rkey AND c.actor = t.actor AND c.kind = t.kind)"
			" AND NOT EXISTS (SELECT FROM standpipe.pending p WHERE p.rkey = t.rkey AND p.actor = t.actor AND p.kind = t.kind)",
	},
	{
		.name = "pending_present",
		.proves = "no parent in the pending queue is there already",
		.to_do = "the keeper removes such rows while standpipe runs; standpipe pending retry --all lets it look now",
		.settles = true,
		.sql = "SELECT bsky.key_uri(t.rkey, t.actor, t.kind) AS uri, t.state, t.first_seen FROM standpipe.pending t"
			" WHERE EXISTS (SELECT FROM ({present}) c WHERE c.rkey = t.rkey AND c.actor = t.actor AND c.kind = t.kind)",
	},
	{
		.name = "actor_ids",
		.proves = "the number of every actor follows from its DID (of about 200000 at random)",
		.to_do = "every row of such an actor is filed under a wrong number: was installation_key in standpipe.meta"
			" changed? Put the old one back",
		.sql = "SELECT t.did, t.id, bsky.actor_id(t.did) AS expected FROM " SAMPLE("bsky.actors", "2000")
			" WHERE t.id <> bsky.actor_id(t.did)",
	},
	{
		.name = "rkey_ids",
		.proves = "the number of every record key follows from its text",
		.to_do = "such a record is not found by its uri: was installation_key in standpipe.meta changed? Put the old"
			" one back",
		.scope = FSCK_EACH_TABLE,
		/* each text once: profiles are all called "self" */
		.sql = "SELECT '{table}' AS \"table\", t.rkey_text, t.rkey, bsky.rkey_id(t.rkey_text) AS expected, t.n AS \"rows\""
			" FROM (SELECT rkey, rkey_text, count(*) AS n FROM {table} WHERE rkey_text IS NOT NULL OR rkey < 0 GROUP BY 1, 2) t"
			" WHERE t.rkey IS DISTINCT FROM bsky.rkey_id(t.rkey_text)",
	},
	{
		.name = "key_rkey_ids",
		.proves = "and of every key that is referred to",
		.to_do = "as for rkey_ids",
		.sql = "SELECT t.rkey_text, t.rkey, bsky.rkey_id(t.rkey_text) AS expected, t.n AS \"rows\""
			" FROM (SELECT rkey, rkey_text, count(*) AS n FROM bsky.keys WHERE rkey_text IS NOT NULL OR rkey < 0 GROUP BY 1, 2) t"
			" WHERE t.rkey IS DISTINCT FROM bsky.rkey_id(t.rkey_text)",
	},
	{
		.name = "versions",
		.proves = "every record has a version and a position",
		.to_do = "no statement of standpipe writes this; restore the rows, or replay (standpipe rewind)",
		.scope = FSCK_EACH_TABLE,
		.sql = "SELECT " URI ", t.rev, t.epoch, t.seq, length(t.cid) AS cid_bytes FROM {table} t"
			" WHERE length(t.cid) NOT IN (0, 32) OR t.rev < 0 OR t.epoch < 0 OR t.seq < 0",
	},
	{
		.name = "tombstones",
		.proves = "no deleted record has content left",
		.to_do = "set every column but key and version (rev, cid, epoch, seq) to NULL",
		.scope = FSCK_EACH_TABLE,
		.sql = "SELECT " URI ", bsky.tid(t.rev) AS rev FROM {table} t"
			" WHERE t.cid = '' AND num_nonnulls({content}) > 0",
	},
	{
		.name = "half_references",
		.proves = "every reference is whole or absent, and of a kind it may have",
		.to_do = "a reference that is half NULL is not enforced: no statement of standpipe writes this; restore the row",
		.scope = FSCK_EACH_REFERENCE,
		.sql = "SELECT " URI ", '{reference}' AS reference, t.{reference}_rkey AS rkey, t.{reference}_actor AS actor,"
			" t.{reference}_kind AS kind FROM {table} t"
			" WHERE num_nonnulls(t.{reference}_rkey, t.{reference}_actor, t.{reference}_kind) NOT IN (0, 3)"
			" OR t.{reference}_kind NOT IN ({allowed_kinds})",
	},
	{
		.name = "watermark",
		.proves = "there is one watermark, not ahead of the newest epoch",
		.to_do = "events may be skipped at the next start: stop standpipe and run standpipe rewind",
		.sql = "SELECT w.epoch AS watermark_epoch, w.seq AS watermark_seq, e.newest AS newest_epoch"
			" FROM (SELECT coalesce(max(epoch), 0) AS newest FROM standpipe.epochs) e"
			" LEFT JOIN standpipe.watermark w ON true WHERE w.epoch IS NULL OR w.epoch > e.newest OR w.epoch < 0 OR w.seq < 0",
	},
	{
		.name = "ledger",
		.proves = "received = applied + unchanged + stale + dead-lettered + filtered, for every collection and kind of event",
		.to_do = "something was lost or counted wrongly: keep the database as it is and report it; standpipe rewind reads"
			" the source again",
		.sql = "SELECT class, received, applied, unchanged, stale, dead_lettered, filtered, residue, redelivered"
			" FROM standpipe.ledger_summary WHERE residue <> 0",
	},
	{
		.name = "ledger_packs",
		.proves = "and in every pack that is not folded into the totals yet",
		.to_do = "as for ledger",
		.sql = "SELECT l.epoch, l.seq, standpipe.class_name(c[1]::smallint) AS class, c[2] AS received, c[3] AS applied,"
			" c[4] AS unchanged, c[5] AS stale, c[6] AS dead_lettered, c[7] AS filtered FROM standpipe.ledger l"
			" CROSS JOIN LATERAL generate_subscripts(l.counts, 1) i CROSS JOIN LATERAL"
			" (SELECT array_agg(v ORDER BY j) AS c FROM (SELECT j, l.counts[i][j] AS v FROM generate_series(1, 8) j) x) y"
			" WHERE c[2] <> c[3] + c[4] + c[5] + c[6] + c[7]",
	},
	{
		.name = "ledger_events",
		.proves = "as many events were received as the packs' numbers say, and what is missing among them is in a gap",
		.to_do = "packs were acknowledged without their events being counted, or lost: standpipe rewind to before it",
		.sql = "SELECT w.ordinal, w.ordinal_base, w.events, w.lost, s.received FROM standpipe.watermark w CROSS JOIN"
			" (SELECT coalesce(sum(received), 0) AS received FROM standpipe.ledger_totals WHERE class >= 200) s"
			" WHERE w.events <> s.received OR w.ordinal <> w.ordinal_base + w.events + w.lost OR w.lost < 0"
			" OR w.lost > 0 AND NOT EXISTS (SELECT FROM standpipe.gaps WHERE reason IN ('foreign_trim', 'never_stored'))",
	},
	{
		.name = "ledger_rows",
		.proves = "every record table has as many rows as first versions were applied to it",
		.to_do = "rows were deleted or inserted by hand: standpipe never deletes one; restore them, or read the source again"
			" (standpipe rewind)",
		.scope = FSCK_EACH_TABLE,
		.sql = "SELECT '{table}' AS \"table\", t.n AS \"rows\", coalesce(s.inserted, 0) AS inserted"
			" FROM (SELECT count(*) AS n FROM {table}) t LEFT JOIN standpipe.ledger_summary s ON s.class_id = {class}"
			" WHERE t.n <> coalesce(s.inserted, 0)",
	},
	{
		.name = "post_counts",
		.proves = "bsky.post_counts is what a pass over the tables counts (of up to 1000 posts at random)",
		.to_do = "an index misses rows (REINDEX SCHEMA bsky), or a view is not the one standpipe migrate made",
		.sql = "WITH sample AS MATERIALIZED ("
			" (SELECT rkey, actor FROM " SAMPLE("bsky.posts", "20") " LIMIT 500) UNION"
			" (SELECT subject_rkey, subject_actor FROM " SAMPLE("bsky.likes", "20")
			"  WHERE subject_kind = 1 LIMIT 500)),"
			RECOUNT("likes", "likes", "subject", " AND x.subject_kind = 1") ","
			RECOUNT("reposts", "reposts", "subject", " AND x.subject_kind = 1") ","
			RECOUNT("replies", "posts", "reply_parent", "") ","
			RECOUNT("quotes", "posts", "quote", " AND x.quote_kind = 1")
			" SELECT c.uri, c.likes, l.n AS likes_found, c.reposts, r.n AS reposts_found, c.replies, p.n AS replies_found,"
			" c.quotes, q.n AS quotes_found FROM sample JOIN bsky.post_counts c USING (rkey, actor)"
			" LEFT JOIN likes l USING (rkey, actor) LEFT JOIN reposts r USING (rkey, actor)"
			" LEFT JOIN replies p USING (rkey, actor) LEFT JOIN quotes q USING (rkey, actor)"
			" WHERE (c.likes, c.reposts, c.replies, c.quotes) IS DISTINCT FROM"
			" (coalesce(l.n, 0), coalesce(r.n, 0), coalesce(p.n, 0), coalesce(q.n, 0))",
	},
};
/* clang-format on */

const int n_fsck_checks = sizeof fsck_checks / sizeof fsck_checks[0];
