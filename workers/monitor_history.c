/* SPDX-License-Identifier: MIT */
#include "workers/monitor_history.h"

#include <string.h>

void monitor_history_add(struct monitor_history *h, const struct stats_page *page)
{
	struct monitor_status st = { .page = page, .before = h->last };
	double *point = h->points[h->next];

	monitor_sample_take(page, &st.now);
	h->last = st.now;
	/* of the first look there is no rate yet */
	if (!st.before.at_us)
		return;
	point[HISTORY_received] = monitor_per_second(&st, STAT_events_appended);
	point[HISTORY_committed] = monitor_per_second(&st, STAT_events_committed);
	point[HISTORY_receive] = monitor_quantile_s(&st, STAGE_receive, 0.5);
	point[HISTORY_append] = monitor_quantile_s(&st, STAGE_append, 0.5);
	point[HISTORY_commit] = monitor_quantile_s(&st, STAGE_commit, 0.5);
	point[HISTORY_depth] = (double)st.now.value[STAT_depth_events];
	point[HISTORY_pending] = (double)st.now.value[STAT_pending_rows];
	h->next = (h->next + 1) % HISTORY_POINTS;
	h->n += h->n < HISTORY_POINTS;
}

static void put_point(const double *point, struct buf *out)
{
	for (int i = 0; i < N_HISTORY_COLUMNS; i++) {
		buf_add_str(out, i ? "," : "[");
		if (point[i] < 0)
			buf_add_str(out, "null");
		else
			buf_printf(out, "%.7g", point[i]);
	}
	buf_add_str(out, "]");
}

void monitor_history_put_json(const struct monitor_history *h, struct buf *out)
{
	static const char *const names[N_HISTORY_COLUMNS] = {
#define X(name) #name,
		HISTORY_COLUMNS(X)
#undef X
	};

	buf_printf(out, "{\"period_seconds\":%d,\"columns\":[", HISTORY_SECONDS);
	for (int i = 0; i < N_HISTORY_COLUMNS; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", names[i]);
	buf_add_str(out, "],\"points\":[");
	for (int i = 0; i < h->n; i++) {
		buf_add_str(out, i ? ",\n" : "\n");
		put_point(h->points[(h->next - h->n + i + HISTORY_POINTS) % HISTORY_POINTS], out);
	}
	buf_add_str(out, "]}\n");
}
