/* SPDX-License-Identifier: MIT
 *
 * dump - the canonical dump, read from the views people use
 */
#include "any_order.h"

#include "domain/sql.h"

#include <stdio.h>
#include <stdlib.h>

static const char lines_sql[] =
	"SELECT did, line FROM (\n"
	"SELECT did, did || ' record ' || collection || ' ' || rkey || ' ' || state || ' ' || rev || ' ' ||"
	"  coalesce(cid, '-') || ' ' || coalesce(value::text, '-') AS line FROM bsky.records\n"
	"UNION ALL SELECT did, did || ' account handle=' || coalesce(handle, '-') || ' active=' || active::text ||"
	"  ' status=' || coalesce(status, '-') || ' desynchronized=' || desynchronized::text"
	"  FROM bsky.accounts WHERE present\n"
	"UNION ALL SELECT a.did, a.did || ' repo ' ||"
	"  coalesce(r.rev || ' ' || encode(r.commit_cid, 'hex') || ' ' || encode(r.data, 'hex'), '- - -') || ' ' ||"
	"  coalesce(y.rev || ' ' || encode(y.data, 'hex'), '- -')"
	"  FROM bsky.repos r FULL JOIN bsky.repo_syncs y USING (actor) JOIN bsky.actors a ON a.id = actor\n"
	"UNION ALL SELECT a.did, a.did || ' counts ' || uri || ' ' || likes || ' ' || reposts || ' ' || replies ||"
	"  ' ' || quotes FROM bsky.post_counts c JOIN bsky.actors a ON a.id = c.actor\n"
	") u ORDER BY line COLLATE \"C\"";

static const char gaps_sql[] =
	"SELECT first_seq, 'gap after ' || after_epoch || ' ' || after_seq || ' before ' || epoch || ' ' || first_seq ||"
	" ' ' || reason FROM standpipe.gaps ORDER BY first_seq";

bool dump_open(struct dump *d, const char *conninfo)
{
	struct pg_options options = { .conninfo = conninfo, .application_name = "any-order dump",
		.waiter = { wait_poll, NULL }, .whole_tables = true };
	struct err err;

	*d = (struct dump){ 0 };
	if (pg_new(&options, &d->pg, &err) == 0 && pg_connect(d->pg, &err) == PG_OK)
		return true;
	printf("# %s\n", err.text);
	return false;
}

bool dump_make_views(struct dump *d)
{
	struct buf script = BUF_INIT;
	struct err err;
	enum pg_class class;

	sql_records_view(&script);
	class = pg_query(d->pg, buf_str(&script), 0, NULL, NULL, &err);
	buf_done(&script);
	if (class != PG_OK)
		printf("# %s\n", err.text);
	return class == PG_OK;
}

bool dump_read(struct dump *d)
{
	struct err err;

	pg_result_free(d->rows);
	pg_result_free(d->gaps);
	d->rows = d->gaps = NULL;
	d->row = d->gap = 0;
	if (pg_query(d->pg, "ANALYZE", 0, NULL, NULL, &err) == PG_OK &&
		pg_query(d->pg, lines_sql, 0, NULL, &d->rows, &err) == PG_OK &&
		pg_query(d->pg, gaps_sql, 0, NULL, &d->gaps, &err) == PG_OK)
		return true;
	printf("# %s\n", err.text);
	return false;
}

void dump_lines(struct dump *d, int instance, struct buf *out)
{
	for (; d->row < pg_rows(d->rows) && instance_of_did(pg_text(d->rows, d->row, 0)) <= instance; d->row++)
		if (instance_of_did(pg_text(d->rows, d->row, 0)) == instance)
			buf_printf(out, "%s\n", pg_text(d->rows, d->row, 1));
	for (; d->gap < pg_rows(d->gaps); d->gap++) {
		long long seq = strtoll(pg_text(d->gaps, d->gap, 0), NULL, 10);

		if (seq / SEQS_PER_INSTANCE > instance)
			break;
		if (seq / SEQS_PER_INSTANCE == instance)
			buf_printf(out, "%s\n", pg_text(d->gaps, d->gap, 1));
	}
}

long long dump_number(struct dump *d, const char *sql)
{
	struct pg_result *r = NULL;
	long long n = -1;
	struct err err;

	if (pg_query(d->pg, sql, 0, NULL, &r, &err) == PG_OK && pg_rows(r) == 1 && pg_text(r, 0, 0))
		n = strtoll(pg_text(r, 0, 0), NULL, 10);
	else
		printf("# %s: no answer\n", sql);
	pg_result_free(r);
	return n;
}

void dump_close(struct dump *d)
{
	pg_result_free(d->rows);
	pg_result_free(d->gaps);
	d->pg = pg_free(d->pg);
}
