/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"

#include "base/clock.h"
#include "codec/json.h"
#include "io/pg.h"
#include "supervisor/supervisor.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const int64_t sample_us = 1000000, pg_patience_us = 2000000, late_us = 3000000;

/* What PostgreSQL itself says; the counters only know what happened since the supervisor started.
 */
struct totals {
	bool known;
	char why[256]; /* if not */
	int64_t waiting, expired, dead_letters, gaps;
};

/* Everything that is shown, text and JSON alike. */
struct status {
	const struct conf *conf;
	const struct stats_page *page;
	uint64_t before[N_STATS], now[N_STATS];
	double elapsed_s;
	bool connected, backpressure;
	struct totals totals;
	struct buf reasons; /* one line each; empty: healthy */
	int n_reasons;
};

/* ---- gathering ---- */

static void sample(const struct stats_page *page, uint64_t ret[N_STATS])
{
	for (int i = 0; i < N_STATS; i++)
		ret[i] = stats_total(page, (enum stats_id)i);
}

/* A slot outlives its process: what a dead one left there is not so any more. */
static bool live_flag(const struct stats_page *page, enum stats_id id)
{
	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (page->slots[i].pid && stats_get(&page->slots[i], id))
			return true;
	return false;
}

static bool shown(const struct stats_slot *slot)
{
	return slot->role[0] && (slot->pid || slot->state != SLOT_DOWN);
}

static double beat_age_s(const struct stats_slot *slot)
{
	int64_t age_us = clock_mono_us() - (int64_t)stats_get(slot, STAT_beat_us);

	return slot->pid && age_us > 0 ? (double)age_us / 1e6 : 0;
}

/* Seconds since a wall-clock stamp, negative if there is none. */
static double lag_s(uint64_t stamp_us)
{
	return stamp_us ? (double)(clock_wall_us() - (int64_t)stamp_us) / 1e6 : -1;
}

static double per_second(const struct status *st, enum stats_id id)
{
	return (double)(st->now[id] - st->before[id]) / st->elapsed_s;
}

/* Seqs of two epochs cannot be subtracted. */
static uint64_t watermark_behind(const struct status *st)
{
	if (st->now[STAT_source_epoch] != st->now[STAT_watermark_epoch] ||
		st->now[STAT_source_seq] < st->now[STAT_watermark_seq])
		return 0;
	return st->now[STAT_source_seq] - st->now[STAT_watermark_seq];
}

static void reason(struct status *st, const char *fmt, ...) PRINTF(2, 3);
static void reason(struct status *st, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(&st->reasons, "%s\n", text);
	st->n_reasons++;
}

static void judge_slot(struct status *st, const struct stats_slot *slot)
{
	if (slot->state != SLOT_READY && slot->doing == CHILD_WAITING)
		reason(st, "%s-%u is not ready, it waits: %s", slot->role, slot->slot, slot->why);
	else if (slot->state != SLOT_READY)
		reason(st, "%s-%u is %s", slot->role, slot->slot,
			slot->state < N_SLOT_STATES ? slot_state_name(slot->state) : "?");
	else if (slot->doing == CHILD_WAITING)
		reason(st, "%s-%u waits: %s", slot->role, slot->slot, slot->why);
	if (beat_age_s(slot) * 1e6 > (double)late_us)
		reason(st, "%s-%u gave no sign of life for %.1f s", slot->role, slot->slot,
			beat_age_s(slot));
}

static void judge(struct status *st)
{
	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (shown(&st->page->slots[i]))
			judge_slot(st, &st->page->slots[i]);
	if (!st->connected)
		reason(st, "the source is not connected");
	if (st->backpressure)
		reason(st, "the stream is full: the reader does not read its socket");
	if (st->now[STAT_depth_events] >= (uint64_t)st->conf->queue.critical_events)
		reason(st, "the stream is deeper than queue.critical_events");
}

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

static void ask_postgres(const struct conf *conf, struct totals *ret)
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
		*ret = (struct totals){ .known = true, .waiting = number(rows, 0),
			.expired = number(rows, 1), .dead_letters = number(rows, 2),
			.gaps = number(rows, 3) };
	} else {
		snprintf(ret->why, sizeof ret->why, "%.250s", err.text);
	}
	pg_result_free(rows);
	pg_free(pg);
}

static void gather(struct status *st)
{
	int64_t began_us = clock_mono_us(), left_us;

	sample(st->page, st->before);
	ask_postgres(st->conf, &st->totals);
	left_us = began_us + sample_us - clock_mono_us();
	if (left_us > 0)
		usleep((useconds_t)left_us);
	sample(st->page, st->now);
	st->elapsed_s = (double)(clock_mono_us() - began_us) / 1e6;
	st->connected = live_flag(st->page, STAT_source_connected);
	st->backpressure = live_flag(st->page, STAT_backpressure);
	if (!st->totals.known) {
		st->totals.waiting = (int64_t)st->now[STAT_pending_rows];
		st->totals.expired = (int64_t)st->now[STAT_pending_expired];
		st->totals.dead_letters = (int64_t)st->now[STAT_dead_letters];
		st->totals.gaps = (int64_t)st->now[STAT_gaps];
	}
	judge(st);
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
	double s = lag_s(stamp_us);

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

static void print_head(const struct status *st)
{
	bool good = st->n_reasons == 0, colour = colours();
	const char *p = (const char *)st->reasons.p;

	printf("standpipe %s%s%s   pid %" PRIu32 ", up %s\n",
		colour ? good ? "\033[32m" : "\033[31m" : "", good ? "healthy" : "DEGRADED",
		colour ? "\033[0m" : "", st->page->supervisor_pid, uptime_text(lag_s(st->page->started_us)).text);
	for (int i = 0; i < st->n_reasons; i++) {
		int n = (int)strcspn(p, "\n");

		printf("  %.*s\n", n, p);
		p += n + 1;
	}
}

static void print_stages(const struct status *st)
{
	const uint64_t *v = st->now;

	printf("\nsource        %s, epoch %" PRIu64 ", seq %" PRIu64 ", lag %s, %.0f events/s\n",
		st->connected ? "connected" : "not connected", v[STAT_source_epoch],
		v[STAT_source_seq], lag_text(v[STAT_source_time_us]).text,
		per_second(st, STAT_events_appended));
	printf("redis         depth %" PRIu64 " events, %.1f MB%s; memory %.1f MB\n",
		v[STAT_depth_events], (double)v[STAT_depth_bytes] / 1e6,
		st->backpressure ? " (back-pressure)" : "",
		(double)v[STAT_redis_memory_bytes] / 1e6);
	printf("postgres      lag %s, %.0f events/s, %.0f ops/s; last batch %" PRIu64
	       " events in %.1f ms\n",
		lag_text(v[STAT_commit_time_us]).text, per_second(st, STAT_events_committed),
		per_second(st, STAT_ops_committed), v[STAT_batch_events],
		(double)v[STAT_batch_us] / 1e3);
	printf("watermark     epoch %" PRIu64 ", seq %" PRIu64 ", %" PRIu64 " behind the source\n",
		v[STAT_watermark_epoch], v[STAT_watermark_seq], watermark_behind(st));
	printf("pending       %" PRId64 " missing parents, %" PRId64 " given up\n",
		st->totals.waiting, st->totals.expired);
	printf("dead letters  %" PRId64 "\ngaps          %" PRId64 "\n", st->totals.dead_letters,
		st->totals.gaps);
	if (!st->totals.known)
		printf("              (counted since the start only: %s)\n",
			st->totals.why);
}

static void print_children(const struct status *st)
{
	printf("\n%-10s %-9s %-9s %8s %9s %9s\n", "child", "state", "doing", "pid", "restarts",
		"beat");
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &st->page->slots[i];
		char name[32];

		if (!shown(slot))
			continue;
		snprintf(name, sizeof name, "%s-%" PRIu32, slot->role, slot->slot);
		printf("%-10s %-9s %-9s %8" PRIu32 " %9" PRIu32 " %7.1f s\n", name,
			slot->state < N_SLOT_STATES ? slot_state_name(slot->state) : "?",
			slot->pid && slot->doing < N_CHILD_STATES ? child_state_name(slot->doing)
								  : "-",
			slot->pid, slot->starts ? slot->starts - 1 : 0, beat_age_s(slot));
	}
}

/* ---- for programs ---- */

static void put_lag(struct buf *out, uint64_t stamp_us)
{
	double s = lag_s(stamp_us);

	if (s < 0)
		buf_add_str(out, "\"lag_seconds\":null");
	else
		buf_printf(out, "\"lag_seconds\":%.3f", s);
}

/* What others wrote may be cut inside a character, or in no encoding we know: ASCII is safe. */
static void put_text(struct buf *out, const char *p, size_t n)
{
	char text[400];

	n = n < sizeof text ? n : sizeof text;
	for (size_t i = 0; i < n; i++)
		text[i] = (unsigned char)p[i] < 0x80 ? p[i] : '?';
	json_put_string(out, slice_of(text, n));
}

static void put_reasons(struct buf *out, const struct status *st)
{
	const char *p = (const char *)st->reasons.p;

	for (int i = 0; i < st->n_reasons; i++) {
		size_t n = strcspn(p, "\n");

		buf_add_str(out, i ? "," : "");
		put_text(out, p, n);
		p += n + 1;
	}
}

static void put_stages(struct buf *out, const struct status *st)
{
	const uint64_t *v = st->now;

	buf_printf(out,
		"\"source\":{\"connected\":%s,\"backpressure\":%s,\"epoch\":%" PRIu64
		",\"seq\":%" PRIu64 ",\"events_per_second\":%.1f,",
		st->connected ? "true" : "false", st->backpressure ? "true" : "false",
		v[STAT_source_epoch], v[STAT_source_seq], per_second(st, STAT_events_appended));
	put_lag(out, v[STAT_source_time_us]);
	buf_printf(out, "},\"redis\":{\"depth_events\":%" PRIu64 ",\"depth_bytes\":%" PRIu64
		",\"memory_bytes\":%" PRIu64 "},", v[STAT_depth_events], v[STAT_depth_bytes],
		v[STAT_redis_memory_bytes]);
	buf_printf(out,
		"\"postgres\":{\"reachable\":%s,\"events_per_second\":%.1f,\"ops_per_second\":%.1f,",
		st->totals.known ? "true" : "false", per_second(st, STAT_events_committed),
		per_second(st, STAT_ops_committed));
	put_lag(out, v[STAT_commit_time_us]);
	buf_printf(out,
		"},\"watermark\":{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"behind\":%" PRIu64
		"},",
		v[STAT_watermark_epoch], v[STAT_watermark_seq], watermark_behind(st));
	buf_printf(out,
		"\"pending\":{\"waiting\":%" PRId64 ",\"expired\":%" PRId64
		"},\"dead_letters\":%" PRId64 ",\"gaps\":%" PRId64 ",",
		st->totals.waiting, st->totals.expired, st->totals.dead_letters, st->totals.gaps);
}

static void put_children(struct buf *out, const struct status *st)
{
	const char *separator = "";

	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &st->page->slots[i];

		if (!shown(slot))
			continue;
		buf_printf(out,
			"%s{\"role\":\"%s\",\"slot\":%" PRIu32
			",\"state\":\"%s\",\"doing\":\"%s\",\"pid\":%" PRIu32
			",\"restarts\":%" PRIu32 ",\"beat_age_seconds\":%.3f,\"why\":",
			separator, slot->role, slot->slot,
			slot->state < N_SLOT_STATES ? slot_state_name(slot->state) : "",
			slot->doing < N_CHILD_STATES ? child_state_name(slot->doing) : "",
			slot->pid, slot->starts ? slot->starts - 1 : 0, beat_age_s(slot));
		put_text(out, slot->why, strnlen(slot->why, sizeof slot->why));
		buf_add_str(out, "}");
		separator = ",";
	}
}

static void print_json(const struct status *st)
{
	struct buf out = BUF_INIT;

	buf_printf(&out, "{\"state\":\"%s\",\"reasons\":[", st->n_reasons ? "degraded" : "healthy");
	put_reasons(&out, st);
	buf_printf(&out, "],\"pid\":%" PRIu32 ",\"uptime_seconds\":%.0f,\"workers\":%" PRIu32 ",",
		st->page->supervisor_pid, lag_s(st->page->started_us), st->page->n_workers);
	put_stages(&out, st);
	buf_add_str(&out, "\"children\":[");
	put_children(&out, st);
	buf_add_str(&out, "],\"counters\":{");
	for (int i = 0; i < N_STATS; i++)
		buf_printf(&out, "%s\"%s\":%" PRIu64, i ? "," : "", stats_info[i].name, st->now[i]);
	buf_add_str(&out, "}}");
	puts(buf_str(&out));
	buf_done(&out);
}

/* ---- the command ---- */

static int show(const struct conf *conf, const struct stats_page *page, bool json)
{
	struct status st = { .conf = conf, .page = page, .reasons = BUF_INIT };

	gather(&st);
	if (json) {
		print_json(&st);
	} else {
		print_head(&st);
		print_stages(&st);
		print_children(&st);
	}
	buf_done(&st.reasons);
	return st.n_reasons ? EXIT_CHECK : EXIT_DONE;
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
