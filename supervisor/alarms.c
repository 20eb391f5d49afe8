/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The reader pauses at 80 % of maxmemory; of a small Redis the ratio says nothing. */
static const double memory_warn = 0.7, memory_critical = 0.8, fragmentation_warn = 5;
static const uint64_t fragmented_bytes = UINT64_C(100000000);

/* What is judged, all of one moment. */
struct alarm_figures {
	uint64_t depth, bytes, memory, memory_max, rss;
	double risk_s, overflow_s; /* overflow: INFINITY while it does not grow */
	double fragmentation;
};

/* ---- judging ---- */

typedef enum alarm_level judge(const struct alarm_figures *f, const struct conf *conf);

static enum alarm_level judge_depth(const struct alarm_figures *f, const struct conf *conf)
{
	if (f->depth >= (uint64_t)conf->queue.critical_events)
		return LEVEL_CRITICAL;
	return f->depth >= (uint64_t)conf->queue.warn_events ? LEVEL_WARNING : LEVEL_NORMAL;
}

static enum alarm_level judge_risk(const struct alarm_figures *f, const struct conf *conf)
{
	return f->risk_s >= conf->queue.warn_risk ? LEVEL_WARNING : LEVEL_NORMAL;
}

static enum alarm_level judge_overflow(const struct alarm_figures *f, const struct conf *conf)
{
	return f->overflow_s <= conf->queue.warn_overflow ? LEVEL_WARNING : LEVEL_NORMAL;
}

static enum alarm_level judge_memory(const struct alarm_figures *f, const struct conf *conf)
{
	double part = f->memory_max ? (double)f->memory / (double)f->memory_max : 0;

	(void)conf;
	if (part >= memory_critical)
		return LEVEL_CRITICAL;
	return part >= memory_warn ? LEVEL_WARNING : LEVEL_NORMAL;
}

static enum alarm_level judge_fragmentation(const struct alarm_figures *f, const struct conf *conf)
{
	bool large = f->rss > f->memory && f->rss - f->memory > fragmented_bytes;

	(void)conf;
	return large && f->fragmentation > fragmentation_warn ? LEVEL_WARNING : LEVEL_NORMAL;
}

/* THE table of alarms, with the way out. */
static const struct alarm_row {
	judge *judge;
	const char *warning, *critical;
} rows[N_ALARMS] = {
	[ALARM_depth] = { judge_depth, "PostgreSQL takes less than the source sends",
		"see whether the workers wait (`standpipe status`) and PostgreSQL keeps up, or raise workers.count; "
		"at redis.max_events reading pauses, nothing is lost" },
	[ALARM_risk] = { judge_risk,
		"so much is in Redis only: if its disk is lost the source must still have it; see why the workers are "
		"behind (`standpipe status`)", "" },
	[ALARM_overflow] = { judge_overflow,
		"then reading pauses, and what the source no longer has when it goes on is lost: raise workers.count or "
		"redis.max_events", "" },
	[ALARM_memory] = { judge_memory, "at 80 % of maxmemory reading pauses: CONFIG SET maxmemory to more",
		"reading pauses until it falls: CONFIG SET maxmemory to more" },
	[ALARM_fragmentation] = { judge_fragmentation,
		"Redis holds far more memory than it uses: CONFIG SET activedefrag yes, or restart it", "" },
};

/* ---- figures ---- */

/* Seconds of the source's time between the newest event in the stream and the oldest that only Redis has. */
static double risk_s(const struct stats_page *page)
{
	uint64_t newest_us = stats_total(page, STAT_source_time_us), oldest_us = stats_total(page, STAT_oldest_time_us);

	return oldest_us && newest_us > oldest_us ? (double)(newest_us - oldest_us) / 1e6 : 0;
}

/* Events that still fit, by the limit that is reached first. */
static double room(const struct alarm_figures *f, const struct conf *conf)
{
	double events = (double)conf->redis.max_events - (double)f->depth, each, bytes;

	if (f->depth && f->bytes) {
		each = (double)f->bytes / (double)f->depth;
		bytes = ((double)conf->redis.max_bytes - (double)f->bytes) / each;
		events = bytes < events ? bytes : events;
		bytes = (memory_critical * (double)f->memory_max - (double)f->memory) / each;
		if (f->memory_max && bytes < events)
			events = bytes;
	}
	return events > 0 ? events : 0;
}

/* Growth since the last look, smoothed over a few of them, and what follows from it. */
static double overflow_s(struct alarms *a, const struct alarm_figures *f, const struct conf *conf, int64_t now_us)
{
	double elapsed_s = (double)(now_us - a->last_us) / 1e6;
	double growth = ((double)f->depth - (double)a->last_depth) / elapsed_s;

	a->growth = a->looked && elapsed_s > 0 ? (a->growth + growth) / 2 : 0;
	a->looked = true;
	a->last_depth = f->depth;
	return a->growth > 0.5 ? room(f, conf) / a->growth : INFINITY;
}

static struct alarm_figures look(struct alarms *a, const struct conf *conf, struct stats_page *page)
{
	int64_t now_us = clock_mono_us();
	struct alarm_figures f = { .depth = stats_total(page, STAT_depth_events),
		.bytes = stats_total(page, STAT_depth_bytes),
		.memory = stats_total(page, STAT_redis_memory_bytes),
		.memory_max = stats_total(page, STAT_redis_memory_max_bytes),
		.rss = stats_total(page, STAT_redis_rss_bytes),
		.risk_s = risk_s(page),
		.fragmentation = (double)stats_total(page, STAT_redis_fragmentation) / 1000 };

	f.overflow_s = overflow_s(a, &f, conf, now_us);
	page->overflow_us = isinf(f.overflow_s) ? UINT64_MAX : (uint64_t)(f.overflow_s * 1e6);
	a->last_us = now_us;
	return f;
}

/* ---- saying ---- */

/* One line, with the way out. */
static void say(enum alarm alarm, enum alarm_level level, const struct alarm_figures *f, const char *repeated)
{
	static const enum log_level levels[N_ALARM_LEVELS] = { LOG_NOTICE, LOG_WARNING, LOG_ERROR };
	static const char *const ends[N_ALARM_LEVELS] = { "_normal", "", "_critical" };
	const char *hint = level == LEVEL_CRITICAL ? rows[alarm].critical : rows[alarm].warning;
	char event[48], overflow[32] = "none";

	snprintf(event, sizeof event, "queue.%s%s", alarm_names[alarm].name, ends[level]);
	if (!isinf(f->overflow_s))
		snprintf(overflow, sizeof overflow, "%.0f", f->overflow_s);
	log_write(levels[level], event,
		"depth=%" PRIu64 " risk_s=%.0f overflow_s=%s redis_memory=%" PRIu64 " maxmemory=%" PRIu64
		" fragmentation=%.1f%s%s%s",
		f->depth, f->risk_s, overflow, f->memory, f->memory_max, f->fragmentation, repeated,
		level == LEVEL_NORMAL ? "" : ": ", level == LEVEL_NORMAL ? "" : hint);
}

void alarms_tick(struct alarms *a, const struct conf *conf, struct stats_page *page)
{
	struct alarm_figures f;

	if (clock_mono_us() < alarms_due_us(a, conf))
		return;
	f = look(a, conf, page);
	for (enum alarm i = 0; i < N_ALARMS; i++) {
		enum alarm_level level = rows[i].judge(&f, conf);
		bool changed = level != page->alarms[i];

		page->alarms[i] = level;
		if (changed)
			complaint_clear(&a->repeats[i]);
		if ((changed || level != LEVEL_NORMAL) && complaint_due(&a->repeats[i]))
			say(i, level, &f, a->repeats[i].repeated);
	}
}

int64_t alarms_due_us(const struct alarms *a, const struct conf *conf)
{
	return a->last_us + (int64_t)(conf->queue.check_interval * 1e6);
}
