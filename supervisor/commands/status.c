/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"

#include "base/clock.h"
#include "io/pg.h"
#include "supervisor/supervisor.h"
#include "workers/monitor_status.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const int64_t sample_us = 1000000, pg_patience_us = 2000000;

/* ---- gathering ---- */

/* A waiter that gives up altogether at one point in time. */
static enum wait_result wait_patiently(void *ctx, int fd, short events, int64_t deadline_us)
{
	const int64_t *give_up_us = ctx;
	bool ours = deadline_us < 0 || deadline_us > *give_up_us;
	enum wait_result r = wait_poll(NULL, fd, events, ours ? *give_up_us : deadline_us);

	return r == WAIT_TIMEOUT && ours ? WAIT_STOP : r;
}

static int64_t number(const struct pg_result *r, int col)
{
	const char *text = pg_text(r, 0, col);

	return text ? strtoll(text, NULL, 10) : 0;
}

static void ask_postgres(const struct conf *conf, struct monitor_totals *ret)
{
	int64_t give_up_us = clock_mono_us() + pg_patience_us;
	struct pg_options options = { .conninfo = conf->postgres.conninfo,
		.application_name = "standpipe status", .waiter = { wait_patiently, &give_up_us },
		.whole_tables = true };
	struct pg_result *rows = NULL;
	struct pg *pg = NULL;
	struct err err = { "no answer in time" };

	if (pg_new(&options, &pg, &err) == 0 && pg_connect(pg, &err) == PG_OK &&
		pg_query(pg,
			"SELECT count(*) FILTER (WHERE state = 'waiting'),"
			" count(*) FILTER (WHERE state = 'expired'),"
			" (SELECT count(*) FROM standpipe.dead_letters),"
			" (SELECT count(*) FROM standpipe.gaps) FROM standpipe.pending",
			0, NULL, &rows, &err) == PG_OK &&
		pg_rows(rows) == 1) {
		*ret = (struct monitor_totals){ .asked = true, .known = true, .waiting = number(rows, 0),
			.expired = number(rows, 1), .dead_letters = number(rows, 2),
			.gaps = number(rows, 3) };
	} else {
		ret->asked = true;
		snprintf(ret->why, sizeof ret->why, "%.250s", err.text);
	}
	pg_result_free(rows);
	pg_free(pg);
}

static void gather(const struct conf *conf, struct monitor_status *st)
{
	int64_t left_us;

	monitor_sample_take(st->page, &st->before);
	ask_postgres(conf, &st->totals);
	left_us = st->before.at_us + sample_us - clock_mono_us();
	if (left_us > 0)
		usleep((useconds_t)left_us);
	monitor_status_look(st);
}

/* ---- for people ---- */

static bool colours(void)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

/* "1.2 s", "-" if unknown. */
struct lag_text {
	char text[32];
};

static struct lag_text lag_text(uint64_t stamp_us)
{
	struct lag_text lag = { "-" };
	double s = monitor_lag_s(stamp_us);

	if (s >= 0)
		snprintf(lag.text, sizeof lag.text, "%.1f s", s);
	return lag;
}

/* "12 s", "5 min", "3.2 h", "4.5 d" */
static struct lag_text uptime_text(double s)
{
	struct lag_text t;

	if (s < 120)
		snprintf(t.text, sizeof t.text, "%.0f s", s);
	else if (s < 7200)
		snprintf(t.text, sizeof t.text, "%.0f min", s / 60);
	else if (s < 172800)
		snprintf(t.text, sizeof t.text, "%.1f h", s / 3600);
	else
		snprintf(t.text, sizeof t.text, "%.1f d", s / 86400);
	return t;
}

static void print_head(const struct monitor_status *st)
{
	bool good = st->n_reasons == 0, colour = colours();
	const char *p = (const char *)st->reasons.p;

	printf("standpipe %s%s%s   pid %" PRIu32 ", up %s\n",
		colour ? good ? "\033[32m" : "\033[31m" : "", good ? "healthy" : "DEGRADED",
		colour ? "\033[0m" : "", st->page->supervisor_pid, uptime_text(monitor_lag_s(st->page->started_us)).text);
	for (int i = 0; i < st->n_reasons; i++) {
		int n = (int)strcspn(p, "\n");

		printf("  %.*s\n", n, p);
		p += n + 1;
	}
}

static void print_stages(const struct monitor_status *st)
{
	const uint64_t *v = st->now.value;

	printf("\nsource        %s, epoch %" PRIu64 ", seq %" PRIu64 ", lag %s, %.0f events/s\n",
		st->connected ? "connected" : "not connected", v[STAT_source_epoch],
		v[STAT_source_seq], lag_text(v[STAT_source_time_us]).text,
		monitor_per_second(st, STAT_events_appended));
	printf("redis         depth %" PRIu64 " events (%s), %.1f MB%s; memory %.1f MB\n",
		v[STAT_depth_events], alarm_level_name(st->alarms[ALARM_depth]),
		(double)v[STAT_depth_bytes] / 1e6,
		st->backpressure ? " (back-pressure)" : "",
		(double)v[STAT_redis_memory_bytes] / 1e6);
	printf("postgres      lag %s, %.0f events/s, %.0f ops/s; last batch %" PRIu64
	       " events in %.1f ms\n",
		lag_text(v[STAT_commit_time_us]).text, monitor_per_second(st, STAT_events_committed),
		monitor_per_second(st, STAT_ops_committed), v[STAT_batch_events],
		(double)v[STAT_batch_us] / 1e3);
	printf("watermark     epoch %" PRIu64 ", seq %" PRIu64 ", %" PRIu64 " behind the source\n",
		v[STAT_watermark_epoch], v[STAT_watermark_seq], monitor_watermark_behind(st));
	printf("pending       %" PRId64 " missing parents, %" PRId64 " given up\n",
		st->totals.waiting, st->totals.expired);
	printf("dead letters  %" PRId64 "\ngaps          %" PRId64 "\n", st->totals.dead_letters,
		st->totals.gaps);
	if (!st->totals.known)
		printf("              (counted since the start only: %s)\n",
			st->totals.why);
}

static void print_children(const struct monitor_status *st)
{
	printf("\n%-10s %-9s %-9s %8s %9s %9s\n", "child", "state", "doing", "pid", "restarts",
		"beat");
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &st->page->slots[i];
		char name[32];

		if (!monitor_slot_shown(slot))
			continue;
		snprintf(name, sizeof name, "%s-%" PRIu32, slot->role, slot->slot);
		printf("%-10s %-9s %-9s %8" PRIu32 " %9" PRIu32 " %7.1f s\n", name,
			slot->state < N_SLOT_STATES ? slot_state_name(slot->state) : "?",
			slot->pid && slot->doing < N_CHILD_STATES ? child_state_name(slot->doing)
								  : "-",
			slot->pid, slot->starts ? slot->starts - 1 : 0, monitor_beat_age_s(slot));
	}
}

/* ---- the command ---- */

static void print_json(const struct monitor_status *st)
{
	struct buf out = BUF_INIT;

	monitor_status_put_json(st, &out);
	puts(buf_str(&out));
	buf_done(&out);
}

static int show(const struct conf *conf, const struct stats_page *page, bool json)
{
	struct monitor_status st = { .page = page };
	int code;

	gather(conf, &st);
	if (json) {
		print_json(&st);
	} else {
		print_head(&st);
		print_stages(&st);
		print_children(&st);
	}
	code = st.n_reasons ? EXIT_CHECK : EXIT_DONE;
	monitor_status_done(&st);
	return code;
}

static int connect_and_show(const struct conf *conf, bool json)
{
	const struct stats_page *page = NULL;
	struct err err;
	char dir[128];
	int r;

	if (conf_runtime_dir(conf, dir, sizeof dir, &err) < 0) {
		fprintf(stderr, "standpipe status: %s\n", err.text);
		return EXIT_CONFIG;
	}
	r = runtime_connect(dir, conf->runtime.name, &page, &err);
	if (r == 0) {
		r = show(conf, page, json);
		munmap((void *)(uintptr_t)page, sizeof *page);
		return r;
	}
	if (json)
		puts("{\"state\":\"not running\"}");
	else if (r > 0)
		puts("not running");
	fprintf(stderr, "standpipe status: %s\n", err.text);
	return EXIT_DEPENDENCY;
}

int command_status(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' }, { 0 } };
	const char *path = NULL;
	struct conf *conf;
	bool json = false;
	int o, code;

	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o == 'c')
			path = optarg;
		else if (o == 'j')
			json = true;
		else
			return command_usage(argv[0]);
	}
	if (optind < argc)
		return command_usage(argv[0]);
	code = command_conf(path, &conf);
	if (code != EXIT_DONE)
		return code;
	code = connect_and_show(conf, json);
	conf_free(conf);
	return code;
}
