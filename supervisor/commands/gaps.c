/* SPDX-License-Identifier: MIT
 *
 * gaps - ranges the source could not prove
 */
#include "supervisor/commands/commands.h"

#include "supervisor/commands/report.h"

#include <getopt.h>

/* Seqs of two epochs cannot be subtracted. */
#define SIZE "CASE WHEN after_epoch = epoch THEN first_seq - after_seq - 1 END"
#define NEWEST_FIRST " FROM standpipe.gaps ORDER BY gaps.noticed_at DESC, epoch DESC, first_seq DESC" \
	" LIMIT coalesce($1, '100')::bigint"

static const char table_sql[] =
	"SELECT after_epoch || '-' || after_seq, epoch || '-' || first_seq, coalesce((" SIZE ")::text, 'unknown'),"
	" date_trunc('second', now() - noticed_at), bsky.time(noticed_at), reason" NEWEST_FIRST;
static const char json_sql[] =
	"SELECT after_epoch, after_seq, epoch, first_seq, " SIZE " AS size,"
	" extract(epoch FROM now() - noticed_at)::bigint AS age_s, bsky.time(noticed_at) AS noticed_at, reason"
	NEWEST_FIRST;

struct arguments {
	const char *config, *limit;
	bool json;
};

static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "limit", required_argument, NULL, 'n' }, { "json", no_argument, NULL, 'j' }, { 0 } };
	int c;

	*ret = (struct arguments){ 0 };
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 'n')
			ret->limit = optarg;
		else if (c == 'j')
			ret->json = true;
		else
			return false;
	}
	return optind == argc && (!ret->limit || report_is_count(ret->limit));
}

int command_gaps(int argc, char **argv)
{
	static const char *const headings[] = { "after", "before", "size", "age", "noticed at", "reason" };
	struct report report = { .command = "gaps", .headings = headings, .none = "no gaps" };
	struct arguments a;
	struct conf *conf = NULL;
	struct pg *pg = NULL;
	int status;

	if (!parse(argc, argv, &a))
		return command_usage(argv[0]);
	report.json = a.json;
	report.sql = a.json ? json_sql : table_sql;
	status = command_conf(a.config, &conf);
	if (status == EXIT_DONE)
		status = report_connect(conf, "gaps", "standpipe gaps", &pg);
	if (status == EXIT_DONE)
		status = report_rows(pg, &report, 1, &a.limit);
	pg_free(pg);
	conf_free(conf);
	return status;
}
