/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/overview.h"

#include "base/clock.h"
#include "io/pg.h"
#include "supervisor/exit_codes.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const int64_t patience_us = 2000000;

/* ---- the page ---- */

int overview_open(const struct conf *conf, const char *command, const struct stats_page **ret_page)
{
	struct err err;
	char dir[128];

	*ret_page = NULL;
	if (conf_runtime_dir(conf, dir, sizeof dir, &err) < 0) {
		fprintf(stderr, "standpipe %s: %s\n", command, err.text);
		return EXIT_CONFIG;
	}
	if (runtime_connect(dir, conf->runtime.name, ret_page, &err) == 0)
		return EXIT_DONE;
	fprintf(stderr, "standpipe %s: %s\n", command, err.text);
	return EXIT_DEPENDENCY;
}

void overview_close(const struct stats_page *page)
{
	munmap((void *)(uintptr_t)page, sizeof *page);
}

bool overview_alive(const struct stats_page *page)
{
	return kill((pid_t)page->supervisor_pid, 0) == 0 || errno != ESRCH;
}

/* ---- PostgreSQL ---- */

/* A waiter that gives up altogether at one point in time. */
static enum wait_result wait_patiently(void *ctx, int fd, short events, int64_t deadline_us)
{
	const int64_t *give_up_us = ctx;
	bool ours = deadline_us < 0 || deadline_us > *give_up_us;
	enum wait_result r = wait_poll(NULL, fd, events, ours ? *give_up_us : deadline_us);

	return r == WAIT_TIMEOUT && ours ? WAIT_STOP : r;
}

static int64_t number(const struct pg_result *r, int row, int col)
{
	const char *text = pg_text(r, row, col);

	return text ? strtoll(text, NULL, 10) : 0;
}

static enum pg_class ask_counts(struct pg *pg, struct monitor_totals *ret, struct err *err)
{
	struct pg_result *r = NULL;
	enum pg_class class = pg_query(pg,
		"SELECT p.*, (SELECT count(*) FROM standpipe.dead_letters), (SELECT count(*) FROM standpipe.gaps), l.*"
		" FROM (SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'expired')"
		"  FROM standpipe.pending) p, (SELECT sum(received)::bigint, sum(abs(residue))::bigint,"
		"  sum(redelivered)::bigint FROM standpipe.ledger_summary WHERE class_id < 200) l",
		0, NULL, &r, err);

	if (class == PG_OK && pg_rows(r) == 1) {
		ret->known = true;
		ret->waiting = number(r, 0, 0);
		ret->expired = number(r, 0, 1);
		ret->dead_letters = number(r, 0, 2);
		ret->gaps = number(r, 0, 3);
		ret->received = number(r, 0, 4);
		ret->residue = number(r, 0, 5);
		ret->redelivered = number(r, 0, 6);
	}
	pg_result_free(r);
	return class;
}

/* Counting who waits reads every record that refers to another: not worth more than a moment. */
static void ask_parents(struct pg *pg, struct monitor_totals *ret)
{
	struct pg_result *r = NULL;
	struct err err;

	if (pg_query(pg, "SET statement_timeout = '300ms'", 0, NULL, NULL, &err) == PG_OK &&
		pg_query(pg, "SELECT uri, children FROM standpipe.pending_top WHERE state = 'waiting' LIMIT 3", 0, NULL,
			&r, &err) == PG_OK)
		for (int row = 0; row < pg_rows(r) && row < MONITOR_PARENTS; row++) {
			const char *uri = pg_text(r, row, 0);

			snprintf(ret->parents[row].uri, sizeof ret->parents[row].uri, "%s", uri ? uri : "?");
			ret->parents[row].children = number(r, row, 1);
			ret->n_parents = row + 1;
		}
	pg_result_free(r);
}

void overview_ask(const struct conf *conf, struct monitor_totals *ret)
{
	int64_t give_up_us = clock_mono_us() + patience_us;
	struct pg_options options = { .conninfo = conf->postgres.conninfo,
		.application_name = "standpipe status", .waiter = { wait_patiently, &give_up_us },
		.whole_tables = true };
	struct err err = { "no answer in time" };
	struct pg *pg = NULL;

	*ret = (struct monitor_totals){ .asked = true };
	if (pg_new(&options, &pg, &err) == 0 && pg_connect(pg, &err) == PG_OK && ask_counts(pg, ret, &err) == PG_OK)
		ask_parents(pg, ret);
	if (!ret->known)
		snprintf(ret->why, sizeof ret->why, "%.250s", err.text);
	pg_free(pg);
}
