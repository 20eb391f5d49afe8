/* SPDX-License-Identifier: MIT */
#include "workers/monitor_status.h"

#include "base/clock.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

double monitor_overflow_s(const struct stats_page *page)
{
	return page->overflow_us == UINT64_MAX ? -1 : (double)page->overflow_us / 1e6;
}

double monitor_quantile_s(const struct monitor_status *st, enum stage stage, double q)
{
	return histogram_quantile(&st->before.stages[stage], &st->now.stages[stage], q);
}

struct monitor_text monitor_seconds(double s)
{
	struct monitor_text t = { "-" };

	if (s < 0)
		return t;
	if (s == 0)
		snprintf(t.text, sizeof t.text, "0 s");
	else if (s < 0.0995)
		snprintf(t.text, sizeof t.text, "%.*f ms", s < 0.00995 ? 1 : 0, s * 1e3);
	else if (s < 120)
		snprintf(t.text, sizeof t.text, "%.*f s", s < 9.95 ? 1 : 0, s);
	else if (s < 7200)
		snprintf(t.text, sizeof t.text, "%.0f min", s / 60);
	else if (s < 172800)
		snprintf(t.text, sizeof t.text, "%.1f h", s / 3600);
	else
		snprintf(t.text, sizeof t.text, "%.1f d", s / 86400);
	return t;
}

const char *monitor_slot_state(const struct stats_slot *slot)
{
	return slot->state < N_SLOT_STATES ? slot_state_name(slot->state) : "?";
}

uint64_t monitor_watermark_behind(const struct monitor_status *st)
{
	const uint64_t *v = st->now.value;

	if (v[STAT_source_epoch] != v[STAT_watermark_epoch] ||
		v[STAT_source_seq] < v[STAT_watermark_seq])
		return 0;
	return v[STAT_source_seq] - v[STAT_watermark_seq];
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

/* A number, or null if it is negative: unknown. */
static void put_seconds(struct buf *out, const char *name, double s)
{
	if (s < 0)
		buf_printf(out, "\"%s\":null", name);
	else
		buf_printf(out, "\"%s\":%.6f", name, s);
}

static void put_stages(struct buf *out, const struct monitor_status *st)
{
	buf_add_str(out, "\"stages\":{");
	for (enum stage i = 0; i < N_STAGES; i++) {
		buf_printf(out, "%s\"%s\":{\"events\":%" PRIu64 ",", i ? "," : "", stage_names[i].name,
			histogram_count(&st->now.stages[i]) - histogram_count(&st->before.stages[i]));
		put_seconds(out, "p50_seconds", monitor_quantile_s(st, i, 0.5));
		buf_add_str(out, ",");
		put_seconds(out, "p99_seconds", monitor_quantile_s(st, i, 0.99));
		buf_add_str(out, "}");
	}
	buf_add_str(out, "},\"alarms\":{");
	for (int i = 0; i < N_ALARMS; i++)
		buf_printf(out, "%s\"%s\":\"%s\"", i ? "," : "", alarm_names[i].name, alarm_level_name(st->alarms[i]));
	buf_add_str(out, "},");
}

static void put_parents(struct buf *out, const struct monitor_totals *t)
{
	buf_add_str(out, "\"top\":[");
	for (int i = 0; i < t->n_parents; i++) {
		buf_add_str(out, i ? ",{\"uri\":" : "{\"uri\":");
		put_text(out, t->parents[i].uri, strlen(t->parents[i].uri));
		buf_printf(out, ",\"children\":%" PRId64 "}", t->parents[i].children);
	}
	buf_add_str(out, "]");
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
		",\"memory_bytes\":%" PRIu64 ",\"memory_max_bytes\":%" PRIu64 ",\"fragmentation\":%.3f,\"queue\":\"%s\",",
		v[STAT_depth_events], v[STAT_depth_bytes], v[STAT_redis_memory_bytes], v[STAT_redis_memory_max_bytes],
		(double)v[STAT_redis_fragmentation] / 1000, alarm_level_name(st->alarms[ALARM_depth]));
	put_seconds(out, "risk_seconds", monitor_risk_s(st->page));
	buf_add_str(out, ",");
	put_seconds(out, "overflow_seconds", monitor_overflow_s(st->page));
	buf_add_str(out, "},");
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
		"},\"watermark\":{\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"behind\":%" PRIu64 "},",
		v[STAT_watermark_epoch], v[STAT_watermark_seq], monitor_watermark_behind(st));
	buf_printf(out,
		"\"pending\":{\"waiting\":%" PRId64 ",\"expired\":%" PRId64 ",", t->waiting, t->expired);
	put_parents(out, t);
	buf_printf(out, "},\"dead_letters\":%" PRId64 ",\"gaps\":%" PRId64 ",", t->dead_letters, t->gaps);
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
			separator, slot->role, slot->slot, monitor_slot_state(slot),
			slot->doing < N_CHILD_STATES ? child_state_name(slot->doing) : "",
			slot->pid, slot->starts ? slot->starts - 1 : 0, monitor_beat_age_s(slot));
		put_text(out, slot->why, strnlen(slot->why, sizeof slot->why));
		buf_add_str(out, ",\"last_exit\":");
		put_text(out, slot->last_exit, strnlen(slot->last_exit, sizeof slot->last_exit));
		buf_add_str(out, "}");
		separator = ",";
	}
}

void monitor_status_put_json(const struct monitor_status *st, struct buf *out)
{
	buf_printf(out, "{\"state\":\"%s\",\"reasons\":[", st->n_reasons ? "degraded" : "healthy");
	put_reasons(out, st);
	buf_add_str(out, "],\"behind\":");
	if (st->behind[0])
		put_text(out, st->behind, strlen(st->behind));
	else
		buf_add_str(out, "null");
	buf_printf(out, ",\"pid\":%" PRIu32 ",\"uptime_seconds\":%.0f,\"workers\":%" PRIu32 ",",
		st->page->supervisor_pid, monitor_lag_s(st->page->started_us), st->page->n_workers);
	put_stages(out, st);
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
