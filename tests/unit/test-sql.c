/* SPDX-License-Identifier: MIT
 *
 * The SQL of each collection: the statement that merges is the pinned one, a purge empties every column but key and
 * version, the view reads every table once, and in each statement what is opened is closed.
 */
#include "codec/syntax.h"
#include "domain/sql.h"
#include "tests/unit/tap.h"

/* What a record table keeps of a deleted account's record. */
static const char *const kept[] = { "rkey", "actor", "rev", "epoch", "seq", "cid", "rkey_text", "collection" };

/* The pinned file; "" if there is none. */
static char *golden_of(const char *nsid)
{
	char path[1024], *text = calloc(1, 1 << 16);
	FILE *f;

	snprintf(path, sizeof path, GOLDEN_DIR "/%s.sql", nsid ? nsid : "com.example.record");
	f = fopen(path, "r");
	if (f) {
		text[fread(text, 1, (1 << 16) - 1, f)] = 0;
		fclose(f);
	}
	return text;
}

static size_t times(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

static bool is_balanced(const char *text)
{
	int depth = 0, lowest = 0;

	for (const char *p = text; *p; p++) {
		depth += (*p == '(') - (*p == ')');
		lowest = depth < lowest ? depth : lowest;
	}
	return depth == 0 && lowest == 0 && times(text, "'") % 2 == 0;
}

/* $1 to $n and no more. */
static bool has_parameters(const char *text, int n)
{
	char number[16];

	for (int i = 1; i <= n + 1; i++) {
		const char *p;

		snprintf(number, sizeof number, "$%d", i);
		p = strstr(text, number);
		while (p && p[strlen(number)] >= '0' && p[strlen(number)] <= '9')
			p = strstr(p + 1, number);
		if (!p != (i == n + 1))
			return false;
	}
	return true;
}

static void merging_is_pinned(const struct collection *c, struct buf *b)
{
	struct stored_column common[STORED_MAX], stored[STORED_MAX];
	int n_common = sql_common_columns(c, common), n = n_common + collection_stored(c, stored);
	char *golden = golden_of(c->nsid);
	struct buf insert = BUF_INIT;

	buf_reset(b);
	sql_upsert(c, b);
	ok(strstr(golden, buf_str(b)) != NULL, "%s: merging is what the golden file says", c->table);
	ok(is_balanced(buf_str(b)) && has_parameters(buf_str(b), n), "%s: with %d parameters, each used", c->table, n);
	sql_insert(c, &insert);
	ok(strncmp(buf_str(b), buf_str(&insert), insert.n) == 0 && strncmp(buf_str(b) + insert.n, "\nON CONFLICT ", 13) == 0,
		"%s: inserting is the same up to ON CONFLICT", c->table);
	buf_done(&insert);
	free(golden);
}

static void purging_leaves_keys_and_versions(const struct collection *c, struct buf *b)
{
	struct stored_column stored[STORED_MAX];
	int n = collection_stored(c, stored), n_emptied = 0;
	const char *text, *set;
	char assignment[64];

	buf_reset(b);
	sql_purge(c, b);
	text = buf_str(b);
	for (int i = 0; i < n; i++) {
		snprintf(assignment, sizeof assignment, "%.39s = NULL", stored[i].name);
		n_emptied += strstr(text, assignment) != NULL;
	}
	ok(n_emptied == n && times(text, "= NULL") == (size_t)n, "%s: a purge empties all %d columns of content", c->table, n);
	set = strstr(text, "SET ") + 4;
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
		snprintf(assignment, sizeof assignment, "%s = NULL", kept[i]);
		for (const char *p = set; (p = strstr(p, assignment)); p++)
			if (p == set || p[-1] == ' ')
				n_emptied = -1;
	}
	ok(n_emptied == n, "%s: and nothing of key and version", c->table);
	ok(is_balanced(text) && has_parameters(text, 6), "%s: with six parameters", c->table);
}

static void fate_asks_by_key(const struct collection *c, struct buf *b)
{
	const char *text;

	buf_reset(b);
	sql_fate(c, b);
	text = buf_str(b);
	ok(strstr(text, "t.rkey = u.rkey AND t.actor = u.actor") && times(text, "collection = u.collection") == !c->nsid &&
			is_balanced(text) && has_parameters(text, c->nsid ? 4 : 5),
		"%s: the fate of a row is asked by its key", c->table);
}

/* How often the view's branches read the table itself. */
static size_t branches_of(const char *view, const char *table)
{
	char from[400];

	snprintf(from, sizeof from, "FROM bsky.%s t JOIN", table);
	return times(view, from);
}

static void the_view_reads_every_table_once(struct buf *b)
{
	const char *view;
	int n_once = 0, n_named = 0, n_waiting = 0, n_references = 0;

	buf_reset(b);
	sql_records_view(b);
	view = buf_str(b);
	for (int i = 0; i < n_collections; i++) {
		const struct collection *c = &collections[i];
		char name[360];
		bool refers = false;

		n_once += branches_of(view, c->table) == 1;
		snprintf(name, sizeof name, "'%s'::text AS collection", c->nsid ? c->nsid : "");
		n_named += c->nsid ? times(view, name) == 1 : times(view, "t.collection AS collection") == 1;
		for (const struct column *col = c->columns; col->name; col++)
			refers |= col->type == COLUMN_REF || col->type == COLUMN_STRONGREF || col->type == COLUMN_QUOTE;
		n_references += refers;
	}
	n_waiting = (int)times(view, "THEN 'waiting'");
	ok(n_once == n_collections, "the view reads each of %d tables once (%d)", n_collections, n_once);
	ok(n_named == n_collections, "under its collection's name (%d)", n_named);
	ok(n_waiting == n_references && n_references > 3, "what refers to something may be waiting: %d collections (%d)",
		n_references, n_waiting);
	ok(times(view, "UNION ALL") == (size_t)n_collections - 1 && is_balanced(view), "as one view, well formed");
	for (int k = 1; k < N_KINDS; k++) {
		const struct collection *c = collection_of_kind((enum kind)k);
		char content[400];

		snprintf(content, sizeof content, "WHEN %d THEN EXISTS (SELECT FROM bsky.%s p", k, c->table);
		ok(strstr(view, content) != NULL, "what kind %d refers to is looked for in %s", k, c->table);
	}
}

int main(void)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < n_collections; i++) {
		merging_is_pinned(&collections[i], &b);
		purging_leaves_keys_and_versions(&collections[i], &b);
		fate_asks_by_key(&collections[i], &b);
	}
	the_view_reads_every_table_once(&b);
	ok(strcmp(sql_type_name(SQL_TEXTS), "text") == 0 && strcmp(sql_type_name(SQL_TIMESTAMPTZ), "timestamptz") == 0,
		"types are named as they travel");
	buf_done(&b);
	return done();
}
