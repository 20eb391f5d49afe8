/* SPDX-License-Identifier: MIT */
#include "workers/monitor_metrics.h"

#include "workers/monitor_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names and numbers ---- */

static bool ends_in(const char *text, size_t n, const char *end)
{
	return n >= strlen(end) && strncmp(text + n - strlen(end), end, strlen(end)) == 0;
}

/* How a unit shows in the name; `strip` is how it showed in the counter's. */
static const struct unit_name {
	const char *unit, *strip, *suffix;
	uint64_t scale; /* of the counter to the base unit */
} unit_names[] = {
	{ "microseconds", "_us", "_seconds", 1000000 },
	{ "timestamp", "_time_us", "_timestamp_seconds", 1000000 },
	{ "thousandths", "", "_ratio", 1000 },
	{ "bytes", "_bytes", "_bytes", 1 },
};

static const struct unit_name *find_unit(const char *unit)
{
	static const struct unit_name plain = { "", "", "", 1 };

	for (size_t i = 0; i < sizeof unit_names / sizeof unit_names[0]; i++)
		if (strcmp(unit_names[i].unit, unit) == 0)
			return &unit_names[i];
	return &plain;
}

struct monitor_metric_name monitor_metric_name(const struct stats_info *info)
{
	const struct unit_name *unit = find_unit(info->unit);
	const char *base = info->name;
	size_t n = strlen(base);
	struct monitor_metric_name name;

	if (ends_in(base, n, unit->strip)) {
		n -= strlen(unit->strip);
	} else if (strncmp(base, "bytes_", strlen("bytes_")) == 0) {
		base += strlen("bytes_");
		n -= strlen("bytes_");
	}
	snprintf(name.text, sizeof name.text, "standpipe_%.*s%s%s", (int)n, base, unit->suffix,
		strcmp(info->kind, "counter") == 0 ? "_total" : "");
	return name;
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Exact: a double would round what 64 bits hold. */
static void put_value(struct buf *out, const struct stats_info *info, uint64_t v)
{
	uint64_t scale = find_unit(info->unit)->scale;

	if (scale == 1)
		buf_printf(out, "%" PRIu64 "\n", v);
	else
		buf_printf(out, "%" PRIu64 ".%0*" PRIu64 "\n", v / scale, scale == 1000 ? 3 : 6, v % scale);
}

/* ---- the table ---- */

/* A role's first slot stands for it even if the configuration has no use for it: the counter is there, at 0. */
static bool writes(const struct stats_slot *slot, const struct stats_info *info)
{
	if (strcmp(info->role, "child") == 0)
		return slot->starts;
	return (slot->starts || slot->slot == 0) && strcmp(info->role, slot->role) == 0;
}

static void put_stat(const struct stats_page *page, enum stats_id id, struct buf *out)
{
	const struct stats_info *info = &stats_info[id];
	struct monitor_metric_name name = monitor_metric_name(info);
	bool flag = strcmp(info->unit, "bool") == 0;

	put_head(out, name.text, info->kind, info->meaning);
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &page->slots[i];

		if (!writes(slot, info))
			continue;
		buf_printf(out, "%s{role=\"%s\",slot=\"%" PRIu32 "\"} ", name.text, slot->role,
			slot->slot);
		/* what a dead process left there is not so any more */
		put_value(out, info, flag && !slot->pid ? 0 : stats_get(slot, id));
	}
	if (id == STAT_log_dropped)
		buf_printf(out, "%s{role=\"supervisor\",slot=\"0\"} %" PRIu64 "\n", name.text, page->log_dropped);
}

/* ---- derived ---- */

static void put_lag(const struct stats_page *page, struct buf *out)
{
	static const struct {
		const char *stage;
		enum stats_id stamp;
	} stages[] = { { "reader", STAT_source_time_us }, { "commit", STAT_commit_time_us } };

	put_head(out, "standpipe_lag_seconds", "gauge",
		"age of the newest event that the stage has finished");
	for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
		uint64_t stamp_us = stats_total(page, stages[i].stamp);

		if (stamp_us)
			buf_printf(out, "standpipe_lag_seconds{stage=\"%s\"} %.6f\n", stages[i].stage,
				monitor_lag_s(stamp_us));
	}
}

/* Slots of one role that are in one state; the slots never started do not count as down. */
static int count_children(const struct stats_page *page, const char *role, enum slot_state state)
{
	int n = 0;

	for (int i = 0; i < STATS_MAX_SLOTS; i++)
		n += page->slots[i].starts && page->slots[i].state == state &&
			strcmp(page->slots[i].role, role) == 0;
	return n;
}

static void put_children(const struct stats_page *page, struct buf *out)
{
	put_head(out, "standpipe_children", "gauge", "child processes by role and state");
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &page->slots[i];

		/* slot 0 of a role stands for the role */
		if (!slot->role[0] || slot->slot != 0 || !slot->starts)
			continue;
		for (enum slot_state s = 0; s < N_SLOT_STATES; s++)
			buf_printf(out, "standpipe_children{role=\"%s\",state=\"%s\"} %d\n",
				slot->role, slot_state_name(s), count_children(page, slot->role, s));
	}
}

static void put_restarts(const struct stats_page *page, struct buf *out)
{
	put_head(out, "standpipe_child_restarts_total", "counter",
		"processes started in a slot after the first");
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &page->slots[i];

		if (slot->starts)
			buf_printf(out,
				"standpipe_child_restarts_total{role=\"%s\",slot=\"%" PRIu32
				"\"} %" PRIu32 "\n",
				slot->role, slot->slot, slot->starts - 1);
	}
}

static void put_beats(const struct stats_page *page, struct buf *out)
{
	put_head(out, "standpipe_child_beat_age_seconds", "gauge", "time since the child's last sign of life");
	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		const struct stats_slot *slot = &page->slots[i];

		if (slot->pid)
			buf_printf(out,
				"standpipe_child_beat_age_seconds{role=\"%s\",slot=\"%" PRIu32 "\"} %.3f\n",
				slot->role, slot->slot, monitor_beat_age_s(slot));
	}
}

static void put_stage(const struct stats_page *page, enum stage stage, struct buf *out)
{
	const char *name = stage_names[stage].name;
	struct histogram_sample s = { 0 };
	uint64_t below = 0;

	monitor_stage_read(page, stage, &s);
	for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
		below += s.bucket[i];
		buf_printf(out, "standpipe_stage_latency_seconds_bucket{stage=\"%s\",le=\"%g\"} %" PRIu64 "\n",
			name, (double)histogram_bounds_us[i] / 1e6, below);
	}
	below += s.bucket[HISTOGRAM_BOUNDS];
	buf_printf(out,
		"standpipe_stage_latency_seconds_bucket{stage=\"%s\",le=\"+Inf\"} %" PRIu64
		"\nstandpipe_stage_latency_seconds_sum{stage=\"%s\"} %" PRIu64 ".%06" PRIu64
		"\nstandpipe_stage_latency_seconds_count{stage=\"%s\"} %" PRIu64 "\n",
		name, below, name, s.sum_us / 1000000, s.sum_us % 1000000, name, below);
}

static void put_stages(const struct stats_page *page, struct buf *out)
{
	struct buf help = BUF_INIT;

	buf_add_str(&help, "time of each event by stage;");
	for (int i = 0; i < N_STAGES; i++)
		buf_printf(&help, "%s %s: %s", i ? "," : "", stage_names[i].name, stage_names[i].meaning);
	put_head(out, "standpipe_stage_latency_seconds", "histogram", buf_str(&help));
	for (enum stage i = 0; i < N_STAGES; i++)
		put_stage(page, i, out);
	buf_done(&help);
}

static void put_alarms(const struct stats_page *page, struct buf *out)
{
	put_head(out, "standpipe_alarm_level", "gauge",
		"what `standpipe` itself warns of: 0 normal, 1 warning, 2 critical");
	for (int i = 0; i < N_ALARMS; i++)
		buf_printf(out, "standpipe_alarm_level{alarm=\"%s\"} %" PRIu32 "\n", alarm_names[i].name,
			page->alarms[i]);
}

/* Of the whole, without labels. */
static void put_whole(const struct stats_page *page, struct buf *out)
{
	struct buf why = BUF_INIT;
	bool ready = monitor_status_ready(page, &why);

	buf_done(&why);
	put_head(out, "standpipe_ready", "gauge", "1 while /readyz says ready");
	buf_printf(out, "standpipe_ready %d\n", ready);
	put_head(out, "standpipe_start_time_seconds", "gauge", "when the supervisor started");
	buf_printf(out, "standpipe_start_time_seconds %.3f\n", (double)page->started_us / 1e6);
	put_head(out, "standpipe_data_at_risk_seconds", "gauge",
		"seconds of events, by the source's clock, that are in Redis and not yet in PostgreSQL");
	buf_printf(out, "standpipe_data_at_risk_seconds %.3f\n", monitor_risk_s(page));
	put_head(out, "standpipe_overflow_seconds", "gauge",
		"time until the stream is full if it goes on growing as it does; +Inf while it does not grow");
	if (page->overflow_us == UINT64_MAX)
		buf_add_str(out, "standpipe_overflow_seconds +Inf\n");
	else
		buf_printf(out, "standpipe_overflow_seconds %.1f\n", (double)page->overflow_us / 1e6);
	put_head(out, "standpipe_config_last_reload_successful", "gauge", "0 after a SIGHUP with a bad file");
	buf_printf(out, "standpipe_config_last_reload_successful %d\n", !page->reload_failed);
	put_head(out, "standpipe_config_last_reload_success_timestamp_seconds", "gauge",
		"when the configuration in force was taken");
	buf_printf(out, "standpipe_config_last_reload_success_timestamp_seconds %.3f\n",
		(double)page->reloaded_us / 1e6);
}

void monitor_metrics_put(const struct stats_page *page, struct buf *out)
{
	put_head(out, "standpipe_build_info", "gauge", "1, with the version as a label");
	buf_printf(out, "standpipe_build_info{version=\"%s\"} 1\n", STANDPIPE_VERSION);
	put_lag(page, out);
	put_whole(page, out);
	put_alarms(page, out);
	put_stages(page, out);
	put_children(page, out);
	put_restarts(page, out);
	put_beats(page, out);
	for (int i = 0; i < N_STATS; i++)
		put_stat(page, (enum stats_id)i, out);
}
