/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t live_us = 250000, log_us = 10000000;

/* What one line says. */
struct figures {
	uint64_t received, committed; /* per second */
	uint64_t depth, pending, behind;
	double lag_s; /* of the newest committed event; negative: unknown */
};

void progress_init(struct progress *p)
{
	const char *term = getenv("TERM");

	*p = (struct progress){ .terminal = isatty(STDERR_FILENO) && term &&
			strcmp(term, "dumb") != 0 };
	p->last_us = clock_mono_us();
	p->next_us = p->last_us + (p->terminal ? live_us : log_us);
}

/* Events between two looks, per second. */
static uint64_t rate(uint64_t before, uint64_t after, int64_t elapsed_us)
{
	return elapsed_us > 0 ? (after - before) * 1000000 / (uint64_t)elapsed_us : 0;
}

static struct figures look(struct progress *p, const struct stats_page *page, int64_t now_us)
{
	uint64_t appended = stats_total(page, STAT_events_appended);
	uint64_t committed = stats_total(page, STAT_events_committed);
	uint64_t source_seq = stats_total(page, STAT_source_seq);
	uint64_t watermark_seq = stats_total(page, STAT_watermark_seq);
	uint64_t commit_us = stats_total(page, STAT_commit_time_us);
	struct figures f = {
		.received = rate(p->appended, appended, now_us - p->last_us),
		.committed = rate(p->committed, committed, now_us - p->last_us),
		.depth = stats_total(page, STAT_depth_events),
		.pending = stats_total(page, STAT_pending_rows),
		.lag_s = commit_us ? (double)(clock_wall_us() - (int64_t)commit_us) / 1e6 : -1,
	};

	/* seqs of two hosts cannot be subtracted */
	if (stats_total(page, STAT_source_epoch) == stats_total(page, STAT_watermark_epoch) &&
		source_seq > watermark_seq)
		f.behind = source_seq - watermark_seq;
	p->appended = appended;
	p->committed = committed;
	p->last_us = now_us;
	return f;
}

/* Stays on its line with the cursor in front: a log line of any process overwrites it. */
static void say_live(const struct figures *f)
{
	char line[160], lag[32] = "-";
	int n;

	if (f->lag_s >= 0)
		snprintf(lag, sizeof lag, "%.1f s", f->lag_s);
	n = snprintf(line, sizeof line,
		"\r\033[Kin %" PRIu64 "/s  committed %" PRIu64 "/s  depth %" PRIu64
		"  pending %" PRIu64 "  lag %s  watermark -%" PRIu64 "\r",
		f->received, f->committed, f->depth, f->pending, lag, f->behind);
	log_raw(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void say_log(const struct figures *f)
{
	char lag[32] = "";

	if (f->lag_s >= 0)
		snprintf(lag, sizeof lag, " lag_s=%.1f", f->lag_s);
	log_info("progress",
		"received_per_s=%" PRIu64 " committed_per_s=%" PRIu64 " depth=%" PRIu64
		" pending=%" PRIu64 "%s watermark_behind=%" PRIu64,
		f->received, f->committed, f->depth, f->pending, lag, f->behind);
}

void progress_tick(struct progress *p, const struct stats_page *page)
{
	int64_t now_us = clock_mono_us();
	struct figures f;

	if (now_us < p->next_us)
		return;
	f = look(p, page, now_us);
	if (p->terminal)
		say_live(&f);
	else
		say_log(&f);
	p->next_us = now_us + (p->terminal ? live_us : log_us);
}

void progress_done(struct progress *p)
{
	if (p->terminal)
		log_raw("\r\033[K", strlen("\r\033[K"));
}
