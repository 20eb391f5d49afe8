/* SPDX-License-Identifier: MIT
 *
 * rewind - the next start reads the source again from an earlier place, under a new epoch
 *
 * Repeating events changes nothing in the data; what was lost between is read again, as far as the source
 * still has it. Holds the instance's lock meanwhile, so nothing can be running.
 */
#include "supervisor/commands/commands.h"

#include "io/pg.h"
#include "supervisor/supervisor.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char insert_sql[] =
	"INSERT INTO standpipe.epochs (epoch, host, start, reason)"
	" SELECT epoch + 1, host, $1, 'rewind by the operator' FROM standpipe.epochs ORDER BY epoch DESC LIMIT 1"
	" RETURNING epoch, host";

static int complain(int status, const struct err *err)
{
	fprintf(stderr, "standpipe rewind: %s\n", err->text);
	return status;
}

/* Opens the epoch in PostgreSQL; the keeper takes it over at the next start. */
static int open_epoch(const struct conf *conf, const char *start)
{
	struct pg_options options = { .conninfo = conf->postgres.conninfo,
		.application_name = "standpipe rewind", .waiter = { wait_poll, NULL } };
	struct pg_result *r = NULL;
	struct pg *pg = NULL;
	enum pg_class class;
	struct err err;
	int status = EXIT_DONE;

	if (pg_new(&options, &pg, &err) < 0)
		return complain(EXIT_CONFIG, &err);
	class = pg_connect(pg, &err);
	if (class == PG_OK)
		class = pg_query(pg, insert_sql, 1, &start, &r, &err);
	if (class != PG_OK) {
		status = complain(class == PG_DOWN ? EXIT_DEPENDENCY : EXIT_CHECK, &err);
	} else if (!pg_rows(r)) {
		fprintf(stderr, "standpipe rewind: nothing was ever read into this database: set source.start instead\n");
		status = EXIT_CHECK;
	} else {
		printf("epoch %s: the next start reads %s from %s%s\n", pg_text(r, 0, 0), pg_text(r, 0, 1),
			strcmp(start, "0") == 0 ? "its oldest event" : "seq ", strcmp(start, "0") == 0 ? "" : start);
	}
	pg_result_free(r);
	pg_free(pg);
	return status;
}

static int rewind_stopped(const struct conf *conf, const char *start)
{
	char dir[128];
	struct err err;
	int fd, status, r;

	if (conf_runtime_dir(conf, dir, sizeof dir, &err) < 0)
		return complain(EXIT_CONFIG, &err);
	r = runtime_lock(dir, conf->runtime.name, &fd, &err);
	if (r)
		return complain(r > 0 ? EXIT_LOCKED : EXIT_INTERNAL, &err);
	status = open_epoch(conf, start);
	close(fd);
	return status;
}

/* What stands in standpipe.epochs.start; NULL if the argument is neither `oldest` nor a seq. The oldest
 * event is cursor 0, stated as a number: what was skipped on purpose is not recorded as a gap. */
static const char *start_of(const char *argument)
{
	size_t n = strlen(argument);

	if (strcmp(argument, "oldest") == 0)
		return "0";
	return n && n <= 15 && strspn(argument, "0123456789") == n ? argument : NULL;
}

int command_rewind(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' }, { 0 } };
	const char *path = NULL, *start;
	struct conf *conf = NULL;
	int o, status;

	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o != 'c')
			return command_usage(argv[0]);
		path = optarg;
	}
	start = optind + 1 == argc ? start_of(argv[optind]) : NULL;
	if (!start)
		return command_usage(argv[0]);
	status = command_conf(path, &conf);
	if (status == EXIT_DONE)
		status = rewind_stopped(conf, start);
	conf_free(conf);
	return status;
}
