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

struct monitor_metric_name monitor_metric_name(const struct stats_info *info)
{
	const char *base = info->name, *unit = "";
	size_t n = strlen(base);
	struct monitor_metric_name name;

	if (strcmp(info->unit, "microseconds") == 0) {
		unit = "_seconds";
		n -= ends_in(base, n, "_us") ? strlen("_us") : 0;
	} else if (strcmp(info->unit, "bytes") == 0 && !ends_in(base, n, "_bytes")) {
		unit = "_bytes";
		if (strncmp(base, "bytes_", strlen("bytes_")) == 0) {
			base += strlen("bytes_");
			n -= strlen("bytes_");
		}
	}
	snprintf(name.text, sizeof name.text, "standpipe_%.*s%s%s", (int)n, base, unit,
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
	if (strcmp(info->unit, "microseconds") == 0)
		buf_printf(out, "%" PRIu64 ".%06" PRIu64 "\n", v / 1000000, v % 1000000);
	else
		buf_printf(out, "%" PRIu64 "\n", v);
}

/* ---- the table ---- */

static bool writes(const struct stats_slot *slot, const struct stats_info *info)
{
	return slot->starts &&
		(strcmp(info->role, "child") == 0 || strcmp(info->role, slot->role) == 0);
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

void monitor_metrics_put(const struct stats_page *page, struct buf *out)
{
	put_head(out, "standpipe_build_info", "gauge", "1, with the version as a label");
	buf_printf(out, "standpipe_build_info{version=\"%s\"} 1\n", STANDPIPE_VERSION);
	put_lag(page, out);
	put_head(out, "standpipe_queue_alarm", "gauge",
		"depth of the stream: 0 normal, 1 above queue.warn_events, 2 above "
		"queue.critical_events");
	buf_printf(out, "standpipe_queue_alarm %" PRIu32 "\n", page->queue);
	put_children(page, out);
	put_restarts(page, out);
	for (int i = 0; i < N_STATS; i++)
		put_stat(page, (enum stats_id)i, out);
}
