/* SPDX-License-Identifier: MIT */
#include "workers/monitor_status.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t late_us = 3000000;

/* ---- is it healthy? ---- */

/* Others' words may be in it, and it goes to terminals. */
static void make_printable(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

static void reason(struct monitor_status *st, const char *fmt, ...) PRINTF(2, 3);
static void reason(struct monitor_status *st, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	make_printable(text);
	buf_printf(&st->reasons, "%s\n", text);
	st->n_reasons++;
}

/* Do both wait for the same, and neither or both are ready? */
static bool waits_alike(const struct stats_slot *a, const struct stats_slot *b)
{
	return monitor_slot_shown(b) && b->doing == CHILD_WAITING &&
	       (a->state == SLOT_READY) == (b->state == SLOT_READY) && strncmp(a->why, b->why, sizeof a->why) == 0;
}

/* One reason for all that wait alike: the first of them says it. */
static void judge_waiting(struct monitor_status *st, const struct stats_slot *slot)
{
	const struct stats_slot *slots = st->page->slots;
	struct buf names = BUF_INIT;
	const char *words;
	int n = 0;

	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (waits_alike(slot, &slots[i])) {
			if (n == 0 && &slots[i] != slot)
				return; /* said already */
			buf_printf(&names, "%s%s-%" PRIu32, n ? ", " : "", slots[i].role, slots[i].slot);
			n++;
		}
	if (slot->state == SLOT_READY)
		words = n > 1 ? "wait" : "waits";
	else
		words = n > 1 ? "are not ready, they wait" : "is not ready, it waits";
	reason(st, "%s %s: %.*s", buf_str(&names), words, (int)sizeof slot->why, slot->why);
	buf_done(&names);
}

static void judge_slot(struct monitor_status *st, const struct stats_slot *slot)
{
	if (slot->doing == CHILD_WAITING)
		judge_waiting(st, slot);
	else if (slot->state != SLOT_READY)
		reason(st, "%s-%u is %s", slot->role, slot->slot, monitor_slot_state(slot));
	if (monitor_beat_age_s(slot) * 1e6 > (double)late_us)
		reason(st, "%s-%u gave no sign of life for %.1f s", slot->role, slot->slot,
			monitor_beat_age_s(slot));
}

static void judge(struct monitor_status *st)
{
	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (monitor_slot_shown(&st->page->slots[i]))
			judge_slot(st, &st->page->slots[i]);
	if (!st->connected)
		reason(st, "the source is not connected");
	if (st->backpressure)
		reason(st, "the stream is full: the reader does not read its socket");
	if (st->alarms[ALARM_depth] == LEVEL_CRITICAL)
		reason(st, "the stream is deeper than queue.critical_events");
}

/* ---- why is it behind? ---- */

enum { FEW_EVENTS = 1000 };
static const double slow_s = 3, risky_s = 10, old_s = 10;

/* The first child of the role that waits, or is not ready; NULL if all work. */
static const struct stats_slot *find_idle(const struct stats_page *page, const char *role)
{
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &page->slots[i];

		if (monitor_slot_shown(slot) && strcmp(slot->role, role) == 0 &&
			(slot->doing == CHILD_WAITING || slot->state != SLOT_READY))
			return slot;
	}
	return NULL;
}

/* What it waits for stands among the reasons. */
static void explain_idle(struct monitor_status *st, const struct stats_slot *slot, const char *result)
{
	snprintf(st->behind, sizeof st->behind, "%s-%" PRIu32 " %s%s, so %s", slot->role, slot->slot,
		slot->doing == CHILD_WAITING ? "waits" : "is ",
		slot->doing == CHILD_WAITING ? "" : monitor_slot_state(slot), result);
}

/* More is in the stream than a few batches: between Redis and PostgreSQL. */
static void explain_backlog(struct monitor_status *st, double in, double out)
{
	double full_s = monitor_overflow_s(st->page), depth = (double)st->now.value[STAT_depth_events];
	uint64_t retries = st->now.value[STAT_retries] - st->before.value[STAT_retries];
	const struct stats_slot *idle = find_idle(st->page, "worker");

	if (idle)
		explain_idle(st, idle, out > 0 ? "less is committed" : "nothing is committed");
	else if (retries)
		snprintf(st->behind, sizeof st->behind, "PostgreSQL did not take %" PRIu64 " batches, they are repeated: the log says why",
			retries);
	else if (out > in)
		snprintf(st->behind, sizeof st->behind, "catching up: %.0f events/s committed, %.0f/s arrive; done in %s", out, in,
			monitor_seconds(depth / (out - in)).text);
	else if (st->backpressure)
		snprintf(st->behind, sizeof st->behind, "PostgreSQL takes %.0f events/s; the stream is full, so the source waits", out);
	else
		snprintf(st->behind, sizeof st->behind, "PostgreSQL takes %.0f events/s of the %.0f/s that arrive%s%s", out, in,
			full_s < 0 ? "" : "; the stream is full in ", full_s < 0 ? "" : monitor_seconds(full_s).text);
}

/* Fills in st->behind: the narrowest place, seen from the end of the pipeline. */
static void explain(struct monitor_status *st)
{
	double in = monitor_per_second(st, STAT_events_appended), out = monitor_per_second(st, STAT_events_committed);
	double depth = (double)st->now.value[STAT_depth_events], age_s = monitor_quantile_s(st, STAGE_receive, 0.5);
	const struct stats_slot *idle = find_idle(st->page, "reader");

	if ((depth >= FEW_EVENTS && depth > out * slow_s) || (depth > 0 && monitor_risk_s(st->page) > risky_s))
		explain_backlog(st, in, out);
	else if (!st->connected && idle)
		explain_idle(st, idle, "nothing is read");
	else if (age_s > old_s)
		snprintf(st->behind, sizeof st->behind, "the source's events are %s old when they arrive, %.0f/s",
			monitor_seconds(monitor_lag_s(st->now.value[STAT_source_time_us])).text, in);
}

void monitor_status_look(struct monitor_status *st)
{
	const uint64_t *v = st->now.value;

	monitor_sample_take(st->page, &st->now);
	st->connected = monitor_live_flag(st->page, STAT_source_connected);
	st->backpressure = monitor_live_flag(st->page, STAT_backpressure);
	for (int i = 0; i < N_ALARMS; i++)
		st->alarms[i] = st->page->alarms[i] < N_ALARM_LEVELS ? st->page->alarms[i] : LEVEL_NORMAL;
	if (!st->totals.known) {
		st->totals.waiting = (int64_t)v[STAT_pending_rows];
		st->totals.expired = (int64_t)v[STAT_pending_expired];
		st->totals.dead_letters = (int64_t)v[STAT_dead_letters];
		st->totals.gaps = (int64_t)v[STAT_gaps];
	}
	judge(st);
	explain(st);
	make_printable(st->behind);
}

void monitor_status_done(struct monitor_status *st)
{
	buf_done(&st->reasons);
}

bool monitor_status_ready(const struct stats_page *page, struct buf *why)
{
	bool worker = false;

	if (!monitor_live_flag(page, STAT_source_connected)) {
		buf_add_str(why, "the source is not connected");
		return false;
	}
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &page->slots[i];

		if (slot->pid && slot->doing == CHILD_WAITING) {
			buf_printf(why, "%s-%" PRIu32 " waits: %.*s", slot->role, slot->slot,
				(int)sizeof slot->why, slot->why);
			return false;
		}
		worker = worker || (slot->pid && slot->state == SLOT_READY &&
					   strcmp(slot->role, "worker") == 0);
	}
	if (!worker)
		buf_add_str(why, "no worker is ready");
	return worker;
}
