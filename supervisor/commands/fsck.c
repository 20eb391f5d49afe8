/* SPDX-License-Identifier: MIT
 *
 * fsck - proves that the database holds together: a line per check, below it the rows that are wrong
 *
 * Reads only. The checks are the table in fsck_checks.c.
 */
#include "supervisor/commands/commands.h"

#include "codec/json.h"
#include "domain/schema.h"
#include "supervisor/commands/fsck_stream.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* MAX_FOUND: rows of one check that are looked at; a worker has fewer under way. */
enum { MAX_FOUND = 100000, SETTLE_S = 2 };

struct arguments {
	const char *config;
	bool cids, json;
};

struct fsck {
	struct pg *pg;
	bool json;
	int n_checks, n_failed;
};

static int fail(enum pg_class class, const struct err *err)
{
	fprintf(stderr, "standpipe fsck: %s\n", err->text);
	if (class == PG_SCHEMA)
		fprintf(stderr, "standpipe fsck: was `standpipe migrate` run on this database?\n");
	return class == PG_DOWN || class == PG_STOP ? EXIT_DEPENDENCY : EXIT_CHECK;
}

/* ---- output ---- */

/* What is done now, on a terminal; the next line overwrites it. */
static void show_progress(const char *text)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%.78s\033[K", text);
}

static void show_cids_progress(const struct fsck_cids *so_far)
{
	double seconds = (double)so_far->elapsed_us / 1e6;
	char text[100];

	snprintf(text, sizeof text,
		"cids: %" PRId64 " of about %" PRId64 " records, %.0f per second",
		so_far->n_checked, so_far->n_expected,
		seconds > 0 ? (double)so_far->n_checked / seconds : 0);
	show_progress(text);
}

/* Each line of examples after `before`. */
static void print_examples(struct buf *examples, const char *before)
{
	const char *line = buf_str(examples), *end;

	for (int i = 0; (end = strchr(line, '\n')); line = end + 1, i++)
		printf("%s%.*s\n", before, (int)(end - line), line);
}

static void print_text(const struct fsck_check *check, struct fsck_finding *found)
{
	if (!found->n_rows) {
		printf("ok      %-16s %s\n", check->name, check->proves);
		return;
	}
	printf("FAILED  %-16s not so: %s\n", check->name, check->proves);
	printf("        %s%" PRId64 " row%s\n", found->more ? "more than " : "", found->n_rows,
		found->n_rows == 1 ? "" : "s");
	print_examples(&found->examples, "          ");
	if (found->n_rows > FSCK_EXAMPLES)
		printf("          ...\n");
	printf("        to do: %s\n", check->to_do);
}

static void add_member(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, "\"%s\":", name);
	json_put_string(out, slice_str(text));
	buf_add_str(out, ",");
}

static void print_json(const struct fsck_check *check, struct fsck_finding *found, bool first)
{
	struct buf out = BUF_INIT;

	buf_add_str(&out, first ? "\n{" : ",\n{");
	add_member(&out, "check", check->name);
	add_member(&out, "proves", check->proves);
	if (found->n_rows)
		add_member(&out, "to_do", check->to_do);
	buf_printf(&out, "\"rows\":%" PRId64 ",\"more\":%s,\"examples\":[", found->n_rows,
		found->more ? "true" : "false");
	if (found->examples.n > 0)
		found->examples.n--; /* the last line's end */
	for (size_t i = 0; i < found->examples.n; i++)
		buf_u8(&out, found->examples.p[i] == '\n' ? ',' : found->examples.p[i]);
	printf("%s]}", buf_str(&out));
	buf_done(&out);
}

static void report(struct fsck *f, const struct fsck_check *check, struct fsck_finding *found)
{
	show_progress("");
	if (f->json)
		print_json(check, found, f->n_checks == 0);
	else
		print_text(check, found);
	fflush(stdout);
	f->n_checks++;
	f->n_failed += found->n_rows > 0;
}

/* ---- checks ---- */

static enum pg_class query(
	struct fsck *f, const struct fsck_check *check, struct pg_result **ret, struct err *err)
{
	struct buf sql = BUF_INIT, all = BUF_INIT;
	enum pg_class class;

	fsck_check_sql(check, &sql);
	buf_printf(
		&all, "SELECT row_to_json(r) FROM (%s) r LIMIT %d", buf_str(&sql), MAX_FOUND + 1);
	class = pg_query(f->pg, buf_str(&all), 0, NULL, ret, err);
	buf_done(&sql);
	buf_done(&all);
	if (class != PG_OK)
		err_wrap(err, "%s", check->name);
	return class;
}

static int compare_text(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The rows of r as a sorted array, to be freed. */
static const char **sorted_rows(const struct pg_result *r)
{
	const char **rows = malloc((size_t)pg_rows(r) * sizeof *rows);

	if (!rows)
		abort();
	for (int i = 0; i < pg_rows(r); i++)
		rows[i] = pg_text(r, i, 0);
	qsort(rows, (size_t)pg_rows(r), sizeof *rows, compare_text);
	return rows;
}

static void add_row(struct fsck_finding *found, const char *row)
{
	if (found->n_rows++ < FSCK_EXAMPLES)
		buf_printf(&found->examples, "%s\n", row);
}

static void add_rows(struct fsck_finding *found, const struct pg_result *r)
{
	for (int i = 0; i < pg_rows(r); i++)
		add_row(found, pg_text(r, i, 0));
	if (found->n_rows > MAX_FOUND) {
		found->n_rows = MAX_FOUND;
		found->more = true;
	}
}

/* Looks again after a while: only what was there before and still is counts. */
static enum pg_class settle(struct fsck *f, const struct fsck_check *check,
	const struct pg_result *before, struct fsck_finding *found, struct err *err)
{
	struct timespec pause = {.tv_sec = SETTLE_S};
	struct pg_result *after = NULL;
	const char **known;
	enum pg_class class;

	nanosleep(&pause, NULL);
	class = query(f, check, &after, err);
	if (class != PG_OK)
		return class;
	known = sorted_rows(before);
	for (int i = 0; i < pg_rows(after); i++) {
		const char *row = pg_text(after, i, 0);

		if (bsearch(&row, known, (size_t)pg_rows(before), sizeof *known, compare_text))
			add_row(found, row);
	}
	free(known);
	pg_result_free(after);
	return PG_OK;
}

static enum pg_class run_check(struct fsck *f, const struct fsck_check *check, struct err *err)
{
	struct fsck_finding found = {0};
	struct pg_result *r = NULL;
	enum pg_class class;

	show_progress(check->name);
	class = query(f, check, &r, err);
	if (class == PG_OK && check->settles && pg_rows(r) > 0 && pg_rows(r) <= MAX_FOUND)
		class = settle(f, check, r, &found, err);
	else if (class == PG_OK)
		add_rows(&found, r);
	if (class == PG_OK)
		report(f, check, &found);
	pg_result_free(r);
	buf_done(&found.examples);
	return class;
}

static enum pg_class run_cids(struct fsck *f, const char *conninfo, struct err *err)
{
	char proves[120];
	struct fsck_check check = {.name = "cids",
		.proves = proves,
		.to_do = "the record is not what its author signed: fetch it again (standpipe "
			 "rewind), or restore the row"};
	struct fsck_cids cids;
	enum pg_class class =
		fsck_cids(conninfo, isatty(STDERR_FILENO) ? show_cids_progress : NULL, &cids, err);

	if (class == PG_OK) {
		snprintf(proves, sizeof proves,
			"every record gives its CID back (%" PRId64 " in %.1f s, %.0f per second)",
			cids.n_checked, (double)cids.elapsed_us / 1e6,
			(double)cids.n_checked * 1e6 / (double)(cids.elapsed_us + 1));
		report(f, &check, &cids.found);
	}
	buf_done(&cids.found.examples);
	return class;
}

/* Redis may be away or empty, then this one is left out, and said so. */
static enum pg_class run_stream(struct fsck *f, const struct conf *conf, struct err *err)
{
	static const struct fsck_check check = {.name = "ledger_stream",
		.proves = "at the watermark the ledger and Redis have counted the same number of events",
		.to_do = "was standpipe.watermark or the stream changed by hand? Stop and run standpipe rewind"};
	struct stream_options options = {.url = conf->redis.url,
		.password_file = conf->redis.password_file,
		.name = conf->redis.stream,
		.group = conf->redis.group,
		.waiter = {wait_poll, NULL}};
	struct fsck_finding found = {0};
	bool looked;
	enum pg_class class = fsck_stream(f->pg, &options, &looked, &found, err);

	if (class == PG_OK && looked)
		report(f, &check, &found);
	else if (class == PG_OK && !f->json)
		printf("skipped %-16s %s\n", check.name, err->text);
	buf_done(&found.examples);
	return class;
}

/* The checks know the tables of one version only. */
static enum pg_class check_version(struct fsck *f, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(
		f->pg, "SELECT max(version) FROM standpipe.schema_version", 0, NULL, &r, err);
	const char *version = class == PG_OK ? pg_text(r, 0, 0) : NULL;

	if (class == PG_OK && (!version || strtol(version, NULL, 10) != SCHEMA_VERSION)) {
		err_set(err, "the schema is at version %s, this program needs %d",
			version ? version : "none", SCHEMA_VERSION);
		class = PG_SCHEMA;
	}
	pg_result_free(r);
	return class;
}

/* Rows are counted in the tables themselves: an index that misses some would hide what it misses. */
static enum pg_class count_in_tables(struct fsck *f, struct err *err)
{
	return pg_query(f->pg, "SET enable_indexonlyscan = off", 0, NULL, NULL, err);
}

static int check_all(struct fsck *f, const struct conf *conf, bool cids)
{
	enum pg_class class;
	struct err err;

	class = check_version(f, &err);
	if (class == PG_OK)
		class = count_in_tables(f, &err);
	if (class == PG_OK && f->json)
		printf("{\"checks\":[");
	for (int i = 0; i < n_fsck_checks && class == PG_OK; i++)
		class = run_check(f, &fsck_checks[i], &err);
	if (class == PG_OK)
		class = run_stream(f, conf, &err);
	if (class == PG_OK && cids)
		class = run_cids(f, conf->postgres.conninfo, &err);
	show_progress("");
	if (class != PG_OK)
		return fail(class, &err);
	if (f->json)
		printf("\n],\"ok\":%s}\n", f->n_failed ? "false" : "true");
	return f->n_failed ? EXIT_CHECK : EXIT_DONE;
}

/* ---- the command ---- */

static int parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"cids", no_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	int o;

	*ret = (struct arguments){0};
	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o == 'c')
			ret->config = optarg;
		else if (o == 'i')
			ret->cids = true;
		else if (o == 'j')
			ret->json = true;
		else
			return command_usage(argv[0]);
	}
	return optind < argc ? command_usage(argv[0]) : EXIT_DONE;
}

static int run(const struct conf *conf, const struct arguments *a)
{
	struct pg_options options = {.conninfo = conf->postgres.conninfo,
		.application_name = "standpipe fsck",
		.waiter = {wait_poll, NULL},
		.whole_tables = true};
	struct fsck f = {.json = a->json};
	struct err err;
	int status;

	if (pg_new(&options, &f.pg, &err) < 0)
		return fail(PG_DATA, &err);
	/* whatever keeps us from connecting, to the caller PostgreSQL is not there */
	if (pg_connect(f.pg, &err) != PG_OK)
		status = fail(PG_DOWN, &err);
	else
		status = check_all(&f, conf, a->cids);
	pg_free(f.pg);
	return status;
}

int command_fsck(int argc, char **argv)
{
	struct arguments arguments;
	struct conf *conf = NULL;
	int status = parse(argc, argv, &arguments);

	if (status == EXIT_DONE)
		status = command_conf(arguments.config, &conf);
	if (status == EXIT_DONE)
		status = run(conf, &arguments);
	conf_free(conf);
	return status;
}
