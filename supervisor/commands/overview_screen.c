/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/overview.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABEL_WIDTH = 14 };

bool overview_colours(void)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

/* What is on the way to the screen, and how. */
struct screen {
	const struct monitor_status *st;
	struct buf *out;
	const char *good, *bad, *dim, *plain; /* escape sequences, or nothing */
};

static void label(const struct screen *s, const char *text)
{
	buf_printf(s->out, "%s%-*s%s", s->dim, LABEL_WIDTH, text, s->plain);
}

static void put_head(const struct screen *s)
{
	const struct monitor_status *st = s->st;
	const char *p = (const char *)st->reasons.p;
	bool good = st->n_reasons == 0;

	buf_printf(s->out, "standpipe %s%s%s   pid %" PRIu32 ", up %s, %" PRIu32 " worker%s\n", good ? s->good : s->bad,
		good ? "healthy" : "DEGRADED", s->plain, st->page->supervisor_pid,
		monitor_seconds(monitor_lag_s(st->page->started_us)).text, st->page->n_workers,
		st->page->n_workers == 1 ? "" : "s");
	for (int i = 0; i < st->n_reasons; i++) {
		int n = (int)strcspn(p, "\n");

		buf_printf(s->out, "  %.*s\n", n, p);
		p += n + 1;
	}
	if (st->behind[0])
		buf_printf(s->out, "  %sbehind:%s %s\n", s->bad, s->plain, st->behind);
}

/* Beyond the last bound of the histogram nothing is known but that. */
static struct monitor_text quantile_text(const struct monitor_status *st, enum stage stage, double q)
{
	double s = monitor_quantile_s(st, stage, q);
	struct monitor_text t = { "> 24 h" };

	return s * 1e6 < (double)histogram_bounds_us[HISTOGRAM_BOUNDS - 1] ? monitor_seconds(s) : t;
}

/* One line per stage: how much, how long, and how old the newest that has passed it is. */
static void put_stages(const struct screen *s)
{
	static const struct {
		enum stage stage;
		const char *text;
		enum stats_id rate, stamp; /* N_STATS: none */
	} stages[] = {
		{ STAGE_receive, "source > reader", STAT_frames_received, N_STATS },
		{ STAGE_append, "reader > Redis", STAT_events_appended, STAT_source_time_us },
		{ STAGE_commit, "Redis > commit", STAT_events_committed, STAT_commit_time_us },
		{ STAGE_total, "source > commit", N_STATS, N_STATS },
	};

	buf_printf(s->out, "\n%s%-16s %9s %9s %9s %9s%s\n", s->dim, "stage", "events/s", "p50", "p99", "newest", s->plain);
	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
		char rate[32] = "";

		if (stages[i].rate != N_STATS)
			snprintf(rate, sizeof rate, "%.0f", monitor_per_second(s->st, stages[i].rate));
		buf_printf(s->out, "%-16s %9s %9s %9s %9s\n", stages[i].text, rate,
			quantile_text(s->st, stages[i].stage, 0.5).text, quantile_text(s->st, stages[i].stage, 0.99).text,
			stages[i].stamp == N_STATS ? "" :
						     monitor_seconds(monitor_lag_s(s->st->now.value[stages[i].stamp])).text);
	}
}

static void put_stream(const struct screen *s)
{
	const struct monitor_status *st = s->st;
	const uint64_t *v = st->now.value;
	double full_s = monitor_overflow_s(st->page);

	buf_add_str(s->out, "\n");
	label(s, "source");
	buf_printf(s->out, "%s, epoch %" PRIu64 ", seq %" PRIu64 ", lag %s, %.0f events/s\n",
		st->connected ? "connected" : "not connected", v[STAT_source_epoch], v[STAT_source_seq],
		monitor_seconds(monitor_lag_s(v[STAT_source_time_us])).text, monitor_per_second(st, STAT_events_appended));
	label(s, "redis");
	buf_printf(s->out, "depth %" PRIu64 " events (%s), %.1f MB%s; ", v[STAT_depth_events],
		alarm_level_name(st->alarms[ALARM_depth]), (double)v[STAT_depth_bytes] / 1e6,
		st->backpressure ? " (back-pressure)" : "");
	if (full_s < 0)
		buf_add_str(s->out, "not growing\n");
	else
		buf_printf(s->out, "full in %s\n", monitor_seconds(full_s).text);
	label(s, "");
	buf_printf(s->out, "%s of events at risk; memory %.1f of %.0f MB, fragmentation %.1f\n",
		monitor_seconds(monitor_risk_s(st->page)).text, (double)v[STAT_redis_memory_bytes] / 1e6,
		(double)v[STAT_redis_memory_max_bytes] / 1e6, (double)v[STAT_redis_fragmentation] / 1e3);
}

static void put_store(const struct screen *s)
{
	const struct monitor_status *st = s->st;
	const struct monitor_totals *t = &st->totals;
	const uint64_t *v = st->now.value;

	label(s, "postgres");
	buf_printf(s->out, "lag %s, %.0f events/s, %.0f ops/s; last batch %" PRIu64 " events in %s\n",
		monitor_seconds(monitor_lag_s(v[STAT_commit_time_us])).text, monitor_per_second(st, STAT_events_committed),
		monitor_per_second(st, STAT_ops_committed), v[STAT_batch_events],
		monitor_seconds((double)v[STAT_batch_us] / 1e6).text);
	label(s, "watermark");
	buf_printf(s->out, "epoch %" PRIu64 ", seq %" PRIu64 ", %" PRIu64 " behind the source\n", v[STAT_watermark_epoch],
		v[STAT_watermark_seq], monitor_watermark_behind(st));
	label(s, "pending");
	buf_printf(s->out, "%" PRId64 " missing parents, %" PRId64 " given up\n", t->waiting, t->expired);
	for (int i = 0; i < t->n_parents; i++) {
		label(s, "");
		buf_printf(s->out, "%" PRId64 " wait%s for %s\n", t->parents[i].children,
			t->parents[i].children == 1 ? "s" : "", t->parents[i].uri);
	}
	label(s, "dead letters");
	buf_printf(s->out, "%" PRId64 "\n", t->dead_letters);
	label(s, "gaps");
	buf_printf(s->out, "%" PRId64 "\n", t->gaps);
	if (t->known) {
		label(s, "ledger");
		buf_printf(s->out, "%" PRId64 " operations received, %" PRId64 " without an outcome, %" PRId64 " redelivered\n",
			t->received, t->residue, t->redelivered);
	} else {
		label(s, "");
		buf_printf(s->out, "(counted since the start only: %s)\n", t->why);
	}
}

static void put_children(const struct screen *s)
{
	buf_printf(s->out, "\n%s%-10s %-9s %-9s %8s %9s %9s  %s%s\n", s->dim, "child", "state", "doing", "pid", "restarts",
		"beat", "last exit", s->plain);
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &s->st->page->slots[i];
		bool good = slot->state == SLOT_READY && slot->doing != CHILD_WAITING;
		char name[32];

		if (!monitor_slot_shown(slot))
			continue;
		snprintf(name, sizeof name, "%s-%" PRIu32, slot->role, slot->slot);
		buf_printf(s->out, "%-10s %s%-9s %-9s%s %8" PRIu32 " %9" PRIu32 " %7.1f s  %.*s\n", name,
			good ? "" : s->bad, monitor_slot_state(slot),
			slot->pid && slot->doing < N_CHILD_STATES ? child_state_name(slot->doing) : "-",
			good ? "" : s->plain, slot->pid, slot->starts ? slot->starts - 1 : 0, monitor_beat_age_s(slot),
			(int)sizeof slot->last_exit, slot->last_exit[0] ? slot->last_exit : "-");
	}
}

void overview_put(const struct monitor_status *st, bool colour, struct buf *out)
{
	struct screen s = { st, out, "", "", "", "" };

	if (colour) {
		s.good = "\033[32m";
		s.bad = "\033[31m";
		s.dim = "\033[2m";
		s.plain = "\033[0m";
	}
	put_head(&s);
	put_stages(&s);
	put_stream(&s);
	put_store(&s);
	put_children(&s);
}
