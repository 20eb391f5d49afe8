/* SPDX-License-Identifier: MIT */
#include "workers/monitor_status.h"

#include "base/clock.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t late_us = 3000000;

/* ---- figures ---- */

void monitor_stage_read(const struct stats_page *page, enum stage stage, struct histogram_sample *sample)
{
	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (page->slots[i].starts)
			histogram_read(&page->slots[i].stages[stage], sample);
}

void monitor_sample_take(const struct stats_page *page, struct monitor_sample *ret)
{
	*ret = (struct monitor_sample){ 0 };
	for (enum stage i = 0; i < N_STAGES; i++)
		monitor_stage_read(page, i, &ret->stages[i]);
	for (int i = 0; i < N_STATS; i++)
		ret->value[i] = stats_total(page, (enum stats_id)i);
	ret->at_us = clock_mono_us();
}

bool monitor_live_flag(const struct stats_page *page, enum stats_id id)
{
	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		if (page->slots[i].pid && stats_get(&page->slots[i], id))
			return true;
	return false;
}

bool monitor_slot_shown(const struct stats_slot *slot)
{
	return slot->role[0] && (slot->pid || slot->state != SLOT_DOWN);
}

double monitor_beat_age_s(const struct stats_slot *slot)
{
	int64_t age_us = clock_mono_us() - (int64_t)stats_get(slot, STAT_beat_us);

	return slot->pid && age_us > 0 ? (double)age_us / 1e6 : 0;
}

double monitor_lag_s(uint64_t stamp_us)
{
	return stamp_us ? (double)(clock_wall_us() - (int64_t)stamp_us) / 1e6 : -1;
}

double monitor_per_second(const struct monitor_status *st, enum stats_id id)
{
	int64_t elapsed_us = st->now.at_us - st->before.at_us;

	if (elapsed_us <= 0)
		return 0;
	return (double)(st->now.value[id] - st->before.value[id]) * 1e6 / (double)elapsed_us;
}

double monitor_risk_s(const struct stats_page *page)
{
	uint64_t newest_us = stats_total(page, STAT_source_time_us), oldest_us = stats_total(page, STAT_oldest_time_us);

	return oldest_us && newest_us > oldest_us ? (double)(newest_us - oldest_us) / 1e6 : 0;
}

uint64_t monitor_watermark_behind(const struct monitor_status *st)
{
	const uint64_t *v = st->now.value;

	if (v[STAT_source_epoch] != v[STAT_watermark_epoch] ||
		v[STAT_source_seq] < v[STAT_watermark_seq])
		return 0;
	return v[STAT_source_seq] - v[STAT_watermark_seq];
}

/* ---- judging ---- */

static void reason(struct monitor_status *st, const char *fmt, ...) PRINTF(2, 3);
static void reason(struct monitor_status *st, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_printf(&st->reasons, "%s\n", text);
	st->n_reasons++;
}

static const char *state_text(const struct stats_slot *slot)
{
	return slot->state < N_SLOT_STATES ? slot_state_name(slot->state) : "?";
}

static void judge_slot(struct monitor_status *st, const struct stats_slot *slot)
{
	if (slot->state != SLOT_READY && slot->doing == CHILD_WAITING)
		reason(st, "%s-%u is not ready, it waits: %s", slot->role, slot->slot, slot->why);
	else if (slot->state != SLOT_READY)
		reason(st, "%s-%u is %s", slot->role, slot->slot, state_text(slot));
	else if (slot->doing == CHILD_WAITING)
		reason(st, "%s-%u waits: %s", slot->role, slot->slot, slot->why);
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

/* ---- JSON ---- */

static void put_lag(struct buf *out, uint64_t stamp_us)
{
	double s = monitor_lag_s(stamp_us);

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

static void put_reasons(struct buf *out, const struct monitor_status *st)
{
	const char *p = (const char *)st->reasons.p;

	for (int i = 0; i < st->n_reasons; i++) {
		size_t n = strcspn(p, "\n");

		buf_add_str(out, i ? "," : "");
		put_text(out, p, n);
		p += n + 1;
	}
}

/* As far as Redis. */
static void put_stream(struct buf *out, const struct monitor_status *st)
{
	const uint64_t *v = st->now.value;

	buf_printf(out,
		"\"source\":{\"connected\":%s,\"backpressure\":%s,\"epoch\":%" PRIu64
		",\"seq\":%" PRIu64 ",\"events_per_second\":%.1f,",
		st->connected ? "true" : "false", st->backpressure ? "true" : "false",
		v[STAT_source_epoch], v[STAT_source_seq],
		monitor_per_second(st, STAT_events_appended));
	put_lag(out, v[STAT_source_time_us]);
	buf_printf(out,
		"},\"redis\":{\"depth_events\":%" PRIu64 ",\"depth_bytes\":%" PRIu64
		",\"memory_bytes\":%" PRIu64 ",\"queue\":\"%s\"},",
		v[STAT_depth_events], v[STAT_depth_bytes], v[STAT_redis_memory_bytes],
		alarm_level_name(st->alarms[ALARM_depth]));
}

/* From PostgreSQL on. */
static void put_store(struct buf *out, const struct monitor_status *st)
{
	const struct monitor_totals *t = &st->totals;
	const uint64_t *v = st->now.value;

	buf_printf(out,
		"\"postgres\":{\"reachable\":%s,\"events_per_second\":%.1f,\"ops_per_second\":%.1f,",
		!t->asked ? "null" : t->known ? "true" : "false",
		monitor_per_second(st, STAT_events_committed),
		monitor_per_second(st, STAT_ops_committed));
	put_lag(out, v[STAT_commit_time_us]);
	buf_printf(out,
		"},\"watermark\":{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"behind\":%" PRIu64
		"},",
		v[STAT_watermark_epoch], v[STAT_watermark_seq], monitor_watermark_behind(st));
	buf_printf(out,
		"\"pending\":{\"waiting\":%" PRId64 ",\"expired\":%" PRId64
		"},\"dead_letters\":%" PRId64 ",\"gaps\":%" PRId64 ",",
		t->waiting, t->expired, t->dead_letters, t->gaps);
}

static void put_children(struct buf *out, const struct monitor_status *st)
{
	const char *separator = "";

	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &st->page->slots[i];

		if (!monitor_slot_shown(slot))
			continue;
		buf_printf(out,
			"%s{\"role\":\"%s\",\"slot\":%" PRIu32
			",\"state\":\"%s\",\"doing\":\"%s\",\"pid\":%" PRIu32
			",\"restarts\":%" PRIu32 ",\"beat_age_seconds\":%.3f,\"why\":",
			separator, slot->role, slot->slot, state_text(slot),
			slot->doing < N_CHILD_STATES ? child_state_name(slot->doing) : "",
			slot->pid, slot->starts ? slot->starts - 1 : 0, monitor_beat_age_s(slot));
		put_text(out, slot->why, strnlen(slot->why, sizeof slot->why));
		buf_add_str(out, "}");
		separator = ",";
	}
}

void monitor_status_put_json(const struct monitor_status *st, struct buf *out)
{
	buf_printf(out, "{\"state\":\"%s\",\"reasons\":[", st->n_reasons ? "degraded" : "healthy");
	put_reasons(out, st);
	buf_printf(out, "],\"pid\":%" PRIu32 ",\"uptime_seconds\":%.0f,\"workers\":%" PRIu32 ",",
		st->page->supervisor_pid, monitor_lag_s(st->page->started_us), st->page->n_workers);
	put_stream(out, st);
	put_store(out, st);
	buf_add_str(out, "\"children\":[");
	put_children(out, st);
	buf_add_str(out, "],\"counters\":{");
	for (int i = 0; i < N_STATS; i++)
		buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", stats_info[i].name,
			st->now.value[i]);
	buf_add_str(out, "}}");
}
