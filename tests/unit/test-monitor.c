/* SPDX-License-Identifier: MIT */
#include "workers/monitor_metrics.h"
#include "workers/monitor_status.h"

#include "tap.h"

#include <jansson.h>

/* A page with one child of each role in slot 0, and a second worker. */
static struct stats_page *page_new(void)
{
	static const char *const roles[] = { "reader", "worker", "worker", "keeper" };
	struct stats_page *page = calloc(1, sizeof *page);

	if (!page)
		abort();
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		struct stats_slot *slot = &page->slots[i];

		snprintf(slot->role, sizeof slot->role, "%s", roles[i]);
		slot->slot = i == 2;
		slot->pid = 100 + (uint32_t)i;
		slot->starts = 1 + (uint32_t)i;
		slot->state = SLOT_READY;
		slot->doing = CHILD_IDLE;
	}
	/* a slot that was never used */
	snprintf(page->slots[4].role, sizeof page->slots[4].role, "worker");
	page->slots[4].slot = 2;
	stats_set(&page->slots[0], STAT_source_connected, 1);
	return page;
}

/* Does the text have this line? */
static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p += n)
		if ((p == text || p[-1] == '\n') && p[n] == '\n')
			return true;
	return false;
}

static void test_names(void)
{
	static const struct {
		enum stats_id id;
		const char *name;
	} names[] = {
		{ STAT_frames_received, "standpipe_frames_received_total" },
		{ STAT_bytes_received, "standpipe_received_bytes_total" },
		{ STAT_depth_bytes, "standpipe_depth_bytes" },
		{ STAT_redis_memory_bytes, "standpipe_redis_memory_bytes" },
		{ STAT_batch_us, "standpipe_batch_seconds" },
		{ STAT_source_time_us, "standpipe_source_timestamp_seconds" },
		{ STAT_depth_events, "standpipe_depth_events" },
		{ STAT_redis_fragmentation, "standpipe_redis_fragmentation_ratio" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct monitor_metric_name found = monitor_metric_name(&stats_info[names[i].id]);

		ok(strcmp(found.text, names[i].name) == 0, "%s is called %s", stats_info[names[i].id].name,
			found.text);
	}
	for (int i = 0; i < N_STATS; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(monitor_metric_name(&stats_info[i]).text,
				    monitor_metric_name(&stats_info[j]).text) == 0)
				ok(false, "%s and %s have one name", stats_info[i].name, stats_info[j].name);
}

static void test_metrics(void)
{
	struct stats_page *page = page_new();
	struct buf out = BUF_INIT;
	const char *text;

	stats_set(&page->slots[2], STAT_events_committed, UINT64_MAX);
	stats_set(&page->slots[2], STAT_batch_us, 1000001);
	stats_set(&page->slots[0], STAT_backpressure, 1);
	page->slots[0].pid = 0;
	page->slots[0].state = SLOT_BACKOFF;
	monitor_metrics_put(page, &out);
	text = buf_str(&out);
	ok(has_line(text, "standpipe_events_committed_total{role=\"worker\",slot=\"1\"} 18446744073709551615"),
		"64 bits are exact");
	ok(has_line(text, "standpipe_events_committed_total{role=\"worker\",slot=\"0\"} 0"),
		"a worker that has done nothing shows a 0");
	ok(!strstr(text, "standpipe_events_committed_total{role=\"reader\""), "the reader, who never commits, none");
	ok(!strstr(text, "slot=\"2\""), "nor does a slot that was never used");
	ok(has_line(text, "standpipe_batch_seconds{role=\"worker\",slot=\"1\"} 1.000001"),
		"microseconds become seconds");
	ok(has_line(text, "standpipe_backpressure{role=\"reader\",slot=\"0\"} 0"),
		"a flag that a dead child left is down");
	ok(has_line(text, "standpipe_children{role=\"worker\",state=\"ready\"} 2"), "two workers are ready");
	ok(has_line(text, "standpipe_children{role=\"reader\",state=\"backoff\"} 1") &&
			has_line(text, "standpipe_children{role=\"reader\",state=\"ready\"} 0"),
		"the reader is not");
	ok(has_line(text, "standpipe_child_restarts_total{role=\"keeper\",slot=\"0\"} 3"), "restarts are counted");
	ok(!strstr(text, "standpipe_lag_seconds{"), "an unknown lag is left out");
	buf_done(&out);
	free(page);
}

/* True if not ready, for this reason. */
static bool unready(const struct stats_page *page, const char *reason)
{
	struct buf why = BUF_INIT;
	bool ready = monitor_status_ready(page, &why);
	bool match = !ready && strcmp(buf_str(&why), reason) == 0;

	if (!match)
		printf("# ready=%d why=%s\n", ready, buf_str(&why));
	buf_done(&why);
	return match;
}

static void test_ready(void)
{
	struct stats_page *page = page_new();
	struct buf why = BUF_INIT;

	ok(monitor_status_ready(page, &why) && why.n == 0, "source, workers and keeper up: ready");
	page->slots[1].state = SLOT_BACKOFF;
	ok(monitor_status_ready(page, &why) && why.n == 0, "one of two workers suffices");
	page->slots[2].state = SLOT_STARTING;
	ok(unready(page, "no worker is ready"), "none does not");
	page->slots[2].state = SLOT_READY;
	page->slots[3].doing = CHILD_WAITING;
	memset(page->slots[3].why, 'x', sizeof page->slots[3].why);
	page->slots[3].why[5] = 0;
	ok(unready(page, "keeper-0 waits: xxxxx"), "a child that waits is named, with the reason");
	page->slots[3].doing = CHILD_IDLE;
	page->slots[0].pid = 0;
	ok(unready(page, "the source is not connected"), "a dead reader is not connected, whatever it left");
	buf_done(&why);
	free(page);
}

static json_t *status_json(const struct stats_page *page)
{
	struct monitor_status st = { .page = page };
	struct buf out = BUF_INIT;
	json_t *json;

	monitor_sample_take(page, &st.before);
	monitor_status_look(&st);
	monitor_status_put_json(&st, &out);
	json = json_loadb((const char *)out.p, out.n, 0, NULL);
	if (!json)
		printf("# %s\n", buf_str(&out));
	monitor_status_done(&st);
	buf_done(&out);
	return json;
}

static void set_why(struct stats_slot *slot, const char *why)
{
	snprintf(slot->why, sizeof slot->why, "%s", why);
}

/* Are they the wanted ones, each followed by a bar? */
static bool reasons_are(const json_t *json, const char *wanted)
{
	const json_t *reasons = json_object_get(json, "reasons");
	struct buf found = BUF_INIT;
	bool match;

	for (size_t i = 0; i < json_array_size(reasons); i++)
		buf_printf(&found, "%s|", json_string_value(json_array_get(reasons, i)));
	match = strcmp(buf_str(&found), wanted) == 0;
	if (!match)
		printf("# %s\n", buf_str(&found));
	buf_done(&found);
	return match;
}

static void test_status(void)
{
	struct stats_page *page = page_new();
	json_t *json;

	for (int i = 0; i < 4; i++)
		stats_set(&page->slots[i], STAT_beat_us, INT64_MAX / 2);
	json = status_json(page);
	ok(json && strcmp(json_string_value(json_object_get(json, "state")), "healthy") == 0, "healthy");
	ok(json_is_null(json_object_get(json_object_get(json, "postgres"), "reachable")),
		"nobody asked PostgreSQL: reachable is null");
	json_decref(json);
	page->alarms[ALARM_depth] = LEVEL_CRITICAL;
	json = status_json(page);
	ok(json_array_size(json_object_get(json, "reasons")) == 1, "a critical queue is a reason");
	json_decref(json);
	page->alarms[ALARM_depth] = LEVEL_NORMAL;
	for (int i = 1; i < 4; i++) {
		page->slots[i].doing = CHILD_WAITING;
		set_why(&page->slots[i], i == 2 ? "Redis" : "PostgreSQL");
	}
	json = status_json(page);
	ok(reasons_are(json, "worker-0, keeper-0 wait: PostgreSQL|worker-1 waits: Redis|"),
		"those that wait for the same are one reason");
	json_decref(json);
	for (int i = 1; i < 4; i++)
		page->slots[i].doing = CHILD_IDLE;
	page->alarms[ALARM_depth] = 77;
	page->slots[1].state = 88;
	page->slots[2].doing = CHILD_WAITING;
	memset(page->slots[2].why, 0xc3, sizeof page->slots[2].why - 1);
	json = status_json(page);
	ok(json && json_array_size(json_object_get(json, "reasons")) == 2,
		"numbers out of range and bytes in no encoding still make JSON");
	json_decref(json);
	free(page);
}

int main(void)
{
	test_names();
	test_metrics();
	test_ready();
	test_status();
	return done();
}
