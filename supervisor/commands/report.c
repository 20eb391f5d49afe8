/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/report.h"

#include "base/buf.h"
#include "supervisor/exit_codes.h"

#include <assert.h>
#include <stdio.h>

enum { MAX_COLUMNS = 12 };

int report_fail(const char *command, enum pg_class class, const struct err *err)
{
	fprintf(stderr, "standpipe %s: %s\n", command, err->text);
	if (class == PG_SCHEMA)
		fprintf(stderr, "standpipe %s: was `standpipe migrate` run on this database?\n", command);
	return class == PG_DOWN || class == PG_STOP ? EXIT_DEPENDENCY : EXIT_CHECK;
}

int report_connect(const struct conf *conf, const char *command, const char *application_name,
	struct pg **ret_pg)
{
	struct pg_options options = { .conninfo = conf->postgres.conninfo,
		.application_name = application_name, .waiter = { wait_poll, NULL }, .whole_tables = true };
	struct err err;

	*ret_pg = NULL;
	if (pg_new(&options, ret_pg, &err))
		return report_fail(command, PG_DATA, &err);
	/* whatever keeps us from connecting, to the caller PostgreSQL is not there */
	return pg_connect(*ret_pg, &err) == PG_OK ? EXIT_DONE : report_fail(command, PG_DOWN, &err);
}

/* Columns as wide as their widest value; the last one as it is. */
static void print_table(const struct pg_result *r, const char *const *headings)
{
	int n = pg_cols(r), width[MAX_COLUMNS];

	assert(n <= MAX_COLUMNS);
	for (int col = 0; col < n; col++) {
		width[col] = (int)strlen(headings[col]);
		for (int row = 0; row < pg_rows(r); row++) {
			const char *text = pg_text(r, row, col);
			int len = text ? (int)strlen(text) : 0;

			width[col] = len > width[col] ? len : width[col];
		}
	}
	for (int row = -1; row < pg_rows(r); row++)
		for (int col = 0; col < n; col++) {
			const char *text = row < 0 ? headings[col] : pg_text(r, row, col);

			if (col < n - 1)
				printf("%-*s  ", width[col], text ? text : "");
			else
				printf("%s\n", text ? text : "");
		}
}

/* One JSON object per row is what PostgreSQL answered. */
static void print_json(const struct pg_result *r)
{
	printf("[");
	for (int row = 0; row < pg_rows(r); row++)
		printf("%s\n%s", row ? "," : "", pg_text(r, row, 0));
	printf("%s]\n", pg_rows(r) ? "\n" : "");
}

int report_rows(struct pg *pg, const struct report *report, int n_params, const char *const *params)
{
	struct pg_result *r = NULL;
	struct buf text = BUF_INIT;
	enum pg_class class;
	struct err err;

	buf_printf(&text, report->json ? "SELECT row_to_json(t) FROM (%s) t" : "%s", report->sql);
	class = pg_query(pg, buf_str(&text), n_params, params, &r, &err);
	buf_done(&text);
	if (class != PG_OK)
		return report_fail(report->command, class, &err);
	if (report->json)
		print_json(r);
	else if (pg_rows(r) == 0)
		printf("%s\n", report->none);
	else
		print_table(r, report->headings);
	pg_result_free(r);
	return EXIT_DONE;
}

bool report_is_count(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 9 && strspn(s, "0123456789") == n;
}
