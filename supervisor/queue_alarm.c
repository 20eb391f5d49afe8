/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/clock.h"

#include <inttypes.h>

static enum queue_state judge(uint64_t depth, const struct conf *conf)
{
	if (depth >= (uint64_t)conf->queue.critical_events)
		return QUEUE_CRITICAL;
	return depth >= (uint64_t)conf->queue.warn_events ? QUEUE_WARNING : QUEUE_NORMAL;
}

/* One line, with the way out. */
static void say(enum queue_state state, uint64_t depth, const struct conf *conf, uint64_t repeats)
{
	if (state == QUEUE_NORMAL)
		log_notice("queue.depth_normal", "depth=%" PRIu64 " warn_events=%" PRId64, depth,
			conf->queue.warn_events);
	else if (state == QUEUE_WARNING)
		log_warning("queue.depth",
			"depth=%" PRIu64 " warn_events=%" PRId64 " repeats=%" PRIu64
			": PostgreSQL takes less than the source sends",
			depth, conf->queue.warn_events, repeats);
	else
		log_error("queue.depth_critical",
			"depth=%" PRIu64 " critical_events=%" PRId64 " max_events=%" PRId64
			" repeats=%" PRIu64 ": see whether the workers wait (`standpipe status`) "
			"and PostgreSQL keeps up, or raise workers.count; at redis.max_events "
			"reading pauses, nothing is lost",
			depth, conf->queue.critical_events, conf->redis.max_events, repeats);
}

void queue_alarm_tick(struct queue_alarm *q, const struct conf *conf, struct stats_page *page)
{
	uint64_t depth, repeats = 0;
	enum queue_state state;
	bool changed;

	if (clock_mono_us() < queue_alarm_due_us(q, conf))
		return;
	q->last_us = clock_mono_us();
	depth = stats_total(page, STAT_depth_events);
	state = judge(depth, conf);
	changed = state != q->state;
	q->state = state;
	page->queue = state;
	if (changed)
		complaint_clear(&q->repeats);
	if ((changed || state != QUEUE_NORMAL) && complaint_due(&q->repeats, &repeats))
		say(state, depth, conf, repeats);
}

int64_t queue_alarm_due_us(const struct queue_alarm *q, const struct conf *conf)
{
	return q->last_us + (int64_t)(conf->queue.check_interval * 1e6);
}
