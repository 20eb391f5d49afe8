/* SPDX-License-Identifier: MIT
 *
 * fsck_cids - every record must give back the bytes its CID was made of
 *
 * One pass per collection over the view bsky.records, by a cursor. The server works out the next
 * rows while we check the last ones: the connection's waiter does the checking, so both have
 * something to do at once.
 */
#include "supervisor/commands/fsck.h"

#include "base/clock.h"
#include "codec/cid.h"
#include "codec/json.h"
#include "domain/collection.h"

#include <stdio.h>
#include <stdlib.h>

/* FETCH_ROWS bounds memory: twice so many of the largest records there are. */
enum { FETCH_ROWS = 500, ROWS_PER_LOOK = 16, PROBLEM_SIZE = 160 };

enum row_column { ROW_RKEY, ROW_ACTOR, ROW_COLLECTION, ROW_CID, ROW_RAW, ROW_VALUE };

/* A record that does not give its CID back. */
struct bad {
	char collection[360], rkey[24], actor[24], cid[CID_TEXT + 1], problem[PROBLEM_SIZE];
};

struct pass {
	struct fsck_cids *so_far;
	void (*progress)(const struct fsck_cids *so_far);
	int64_t begun_us;
	struct pg_result *rows; /* fetched; checked up to next */
	int next, n;
	struct arena arena;
	struct buf bytes;
	struct bad bad[FSCK_EXAMPLES]; /* the first ones, as far as they are not among the examples
					  yet */
	int n_bad;
};

/* ---- one row ---- */

static int hex_value(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* The bytes of PostgreSQL's hex text "\x...". */
static void put_unhexed(struct buf *out, const char *hex)
{
	for (hex += 2; hex[0] && hex[1]; hex += 2)
		buf_u8(out, (uint8_t)(hex_value(hex[0]) << 4 | hex_value(hex[1])));
}

/* Rebuilds the record into p->bytes; NULL, or why it cannot be. */
static const char *rebuild(struct pass *p, const char *raw, const char *value)
{
	buf_reset(&p->bytes);
	arena_reset(&p->arena);
	if (raw) {
		put_unhexed(&p->bytes, raw);
		return NULL;
	}
	if (!value)
		return "there is neither value nor raw";
	switch (json_to_cbor(slice_str(value), &p->arena, &p->bytes)) {
	case JSON_OK:
		return NULL;
	case JSON_E_DEPTH:
		return "value is nested too deep for JSON, and there is no raw";
	default:
		return "value is no JSON form of a record";
	}
}

static void note_bad(struct pass *p, int row, const char *problem)
{
	struct bad *bad;

	if (p->so_far->found.n_rows++ >= FSCK_EXAMPLES)
		return;
	bad = &p->bad[p->n_bad++];
	snprintf(bad->collection, sizeof bad->collection, "%s",
		pg_text(p->rows, row, ROW_COLLECTION));
	snprintf(bad->rkey, sizeof bad->rkey, "%s", pg_text(p->rows, row, ROW_RKEY));
	snprintf(bad->actor, sizeof bad->actor, "%s", pg_text(p->rows, row, ROW_ACTOR));
	snprintf(bad->cid, sizeof bad->cid, "%s", pg_text(p->rows, row, ROW_CID));
	snprintf(bad->problem, sizeof bad->problem, "%s", problem);
}

static void check_row(struct pass *p, int row)
{
	const char *cid = pg_text(p->rows, row, ROW_CID), *raw = pg_text(p->rows, row, ROW_RAW);
	struct cid rebuilt = {.codec = CID_DAG_CBOR};
	char text[CID_TEXT + 1], problem[PROBLEM_SIZE];
	const char *why;

	if (!cid) /* deleted, or dead with its account */
		return;
	p->so_far->n_checked++;
	why = rebuild(p, raw, pg_text(p->rows, row, ROW_VALUE));
	if (why) {
		note_bad(p, row, why);
		return;
	}
	sha256(buf_slice(&p->bytes), rebuilt.digest);
	cid_to_text(&rebuilt, text);
	if (strcmp(text, cid) == 0)
		return;
	snprintf(problem, sizeof problem, "%s gives %s", raw ? "raw" : "value", text);
	note_bad(p, row, problem);
}

/* Checks up to n of the rows in hand; false if there were none. */
static bool check_some(struct pass *p, int n)
{
	int end = p->n - p->next < n ? p->n : p->next + n;

	if (p->next == p->n)
		return false;
	while (p->next < end)
		check_row(p, p->next++);
	return true;
}

/* The connection's waiter: instead of sleeping it checks, until the server has something to say. */
static enum wait_result check_while_waiting(void *ctx, int fd, short events, int64_t deadline_us)
{
	while (check_some(ctx, ROWS_PER_LOOK))
		if (wait_poll(NULL, fd, events, 0) == WAIT_READY)
			return WAIT_READY;
	return wait_poll(NULL, fd, events, deadline_us);
}

/* ---- a collection ---- */

/* The rest of what is in hand is checked, and forgotten. */
static void finish_rows(struct pass *p)
{
	check_some(p, p->n);
	p->rows = pg_result_free(p->rows);
	p->next = p->n = 0;
	p->so_far->elapsed_us = clock_mono_us() - p->begun_us;
	if (p->progress)
		p->progress(p->so_far);
}

static enum pg_class fetch_all(struct pass *p, struct pg *pg, struct err *err)
{
	char fetch[64];
	enum pg_class class;
	int n;

	snprintf(fetch, sizeof fetch, "FETCH %d FROM record", FETCH_ROWS);
	do {
		struct pg_result *rows = NULL;

		class = pg_query(pg, fetch, 0, NULL, &rows, err);
		finish_rows(p);
		if (class != PG_OK)
			return class;
		p->rows = rows;
		p->n = n = pg_rows(rows);
	} while (n > 0);
	finish_rows(p);
	return PG_OK;
}

/* Looks the uris of the bad records up and makes them examples. */
static enum pg_class show_bad(struct pass *p, struct pg *pg, struct err *err)
{
	struct buf *out = &p->so_far->found.examples;

	for (int i = 0; i < p->n_bad; i++) {
		const struct bad *bad = &p->bad[i];
		const char *params[] = {bad->collection, bad->rkey, bad->actor};
		struct pg_result *r = NULL;
		enum pg_class class = pg_query(pg,
			"SELECT uri FROM bsky.records WHERE collection = $1 AND rkey_id = $2 AND "
			"actor_id = $3",
			3, params, &r, err);
		const char *uri = class == PG_OK && pg_rows(r) > 0 ? pg_text(r, 0, 0) : NULL;

		buf_add_str(out, "{\"uri\":");
		json_put_string(out, slice_str(uri ? uri : ""));
		buf_printf(out, ",\"cid\":\"%s\",\"problem\":\"%s\"}\n", bad->cid, bad->problem);
		pg_result_free(r);
		if (class != PG_OK)
			return class;
	}
	p->n_bad = 0;
	return PG_OK;
}

/* The condition that leaves one branch of the view: the planner drops the others. */
static void put_collection(struct buf *sql, const struct collection *c)
{
	if (c->nsid) {
		buf_printf(sql, "collection = '%s'", c->nsid);
		return;
	}
	buf_add_str(sql, "collection <> ALL ('{");
	for (int i = 1; i < n_collections; i++)
		buf_printf(sql, "%s%s", i > 1 ? "," : "", collections[i].nsid);
	buf_add_str(sql, "}')");
}

static enum pg_class check_collection(
	struct pass *p, struct pg *pg, const struct collection *c, struct err *err)
{
	struct buf sql = BUF_INIT;
	enum pg_class class;

	/* all rows are wanted, not the first ones soon */
	buf_add_str(&sql, "BEGIN READ ONLY; SET LOCAL cursor_tuple_fraction = 1;"
			  " DECLARE record NO SCROLL CURSOR FOR SELECT rkey_id, actor_id, "
			  "collection, cid, raw, value"
			  " FROM bsky.records WHERE ");
	put_collection(&sql, c);
	class = pg_query(pg, buf_str(&sql), 0, NULL, NULL, err);
	buf_done(&sql);
	if (class == PG_OK)
		class = fetch_all(p, pg, err);
	if (class == PG_OK)
		class = pg_query(pg, "COMMIT", 0, NULL, NULL, err);
	if (class == PG_OK)
		class = show_bad(p, pg, err);
	return class;
}

static enum pg_class estimate(struct pg *pg, int64_t *ret_n, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(pg,
		"SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class c JOIN "
		"pg_attribute a"
		" ON a.attrelid = c.oid AND a.attname = 'raw' WHERE relnamespace = "
		"'bsky'::regnamespace AND relkind = 'r'",
		0, NULL, &r, err);

	if (class == PG_OK)
		*ret_n = strtoll(pg_text(r, 0, 0), NULL, 10);
	pg_result_free(r);
	return class;
}

enum pg_class fsck_cids(const char *conninfo, void (*progress)(const struct fsck_cids *so_far),
	struct fsck_cids *ret, struct err *err)
{
	struct pass p = {.so_far = ret, .progress = progress, .begun_us = clock_mono_us()};
	struct pg_options options = {.conninfo = conninfo,
		.application_name = "standpipe fsck --cids",
		.waiter = {check_while_waiting, &p},
		.whole_tables = true};
	struct pg *pg = NULL;
	enum pg_class class;

	*ret = (struct fsck_cids){0};
	if (pg_new(&options, &pg, err) < 0)
		return PG_SCHEMA;
	class = pg_connect(pg, err);
	if (class == PG_OK)
		class = estimate(pg, &ret->n_expected, err);
	for (int i = 0; i < n_collections && class == PG_OK; i++)
		class = check_collection(&p, pg, &collections[i], err);
	finish_rows(&p);
	pg_free(pg);
	buf_done(&p.bytes);
	arena_done(&p.arena);
	return class;
}
