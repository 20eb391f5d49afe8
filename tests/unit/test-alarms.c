/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "base/clock.h"

#include "tap.h"

#include <stdlib.h>

static struct conf conf = { .redis = { .max_events = 500000, .max_bytes = 1000000000 },
	.queue = { .warn_events = 100000, .critical_events = 250000, .warn_risk = 300, .warn_overflow = 600,
		.check_interval = 10 } };

/* A look `after_s` seconds after the last. */
static void look(struct alarms *a, struct stats_page *page, double after_s)
{
	a->last_us = clock_mono_us() - (int64_t)(after_s * 1e6);
	alarms_tick(a, &conf, page);
}

static bool level_is(const struct stats_page *page, enum alarm alarm, enum alarm_level level)
{
	if (page->alarms[alarm] == level)
		return true;
	printf("# %s: %u, wanted %u\n", alarm_names[alarm].name, page->alarms[alarm], level);
	return false;
}

static void test_depth(struct stats_page *page, struct stats_slot *reader)
{
	static const struct {
		uint64_t depth;
		enum alarm_level level;
	} rows[] = { { 99999, LEVEL_NORMAL }, { 100000, LEVEL_WARNING }, { 249999, LEVEL_WARNING },
		{ 250000, LEVEL_CRITICAL }, { 0, LEVEL_NORMAL } };
	struct alarms a = { 0 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		stats_set(reader, STAT_depth_events, rows[i].depth);
		look(&a, page, 10);
		ok(level_is(page, ALARM_depth, rows[i].level), "depth %llu is %s",
			(unsigned long long)rows[i].depth, alarm_level_name(rows[i].level));
	}
	stats_set(reader, STAT_depth_events, 250000);
	look(&a, page, 9);
	ok(level_is(page, ALARM_depth, LEVEL_NORMAL), "nothing is judged before queue.check_interval is over");
	stats_set(reader, STAT_depth_events, 0);
}

static void test_risk(struct stats_page *page, struct stats_slot *reader)
{
	struct alarms a = { 0 };

	stats_set(reader, STAT_source_time_us, UINT64_C(1000000000));
	stats_set(reader, STAT_oldest_time_us, UINT64_C(701000000));
	look(&a, page, 10);
	ok(level_is(page, ALARM_risk, LEVEL_NORMAL), "299 s only in Redis: normal");
	stats_set(reader, STAT_oldest_time_us, UINT64_C(700000000));
	look(&a, page, 10);
	ok(level_is(page, ALARM_risk, LEVEL_WARNING), "300 s: a warning");
	stats_set(reader, STAT_oldest_time_us, 0);
	look(&a, page, 10);
	ok(level_is(page, ALARM_risk, LEVEL_NORMAL), "nothing is at risk any more");
}

static void test_overflow(struct stats_page *page, struct stats_slot *reader)
{
	struct alarms a = { 0 };
	double forecast_s;

	stats_set(reader, STAT_depth_events, 10000);
	look(&a, page, 10);
	ok(page->overflow_us == UINT64_MAX, "one look is no forecast");
	for (int i = 0; i < 12; i++) {
		stats_set(reader, STAT_depth_events, stats_get(reader, STAT_depth_events) + 5000);
		look(&a, page, 10);
	}
	/* 70000 events, 500 more each second: 430000 / 500 */
	forecast_s = (double)page->overflow_us / 1e6;
	ok(forecast_s > 855 && forecast_s < 870, "growing by 500/s with room for 430000: %.0f s", forecast_s);
	ok(level_is(page, ALARM_overflow, LEVEL_NORMAL), "that is far away");
	for (int i = 0; i < 6; i++) {
		stats_set(reader, STAT_depth_events, stats_get(reader, STAT_depth_events) + 20000);
		look(&a, page, 10);
	}
	ok(level_is(page, ALARM_overflow, LEVEL_WARNING), "that is not");
	stats_set(reader, STAT_depth_bytes, 999000000);
	look(&a, page, 10);
	ok((double)page->overflow_us / 1e6 < 2, "bytes may run out first");
	stats_set(reader, STAT_depth_bytes, 0);
	for (int i = 0; i < 12; i++)
		look(&a, page, 10);
	ok(page->overflow_us == UINT64_MAX && level_is(page, ALARM_overflow, LEVEL_NORMAL),
		"when it does not grow it does not overflow");
	stats_set(reader, STAT_depth_events, 0);
}

static void test_memory(struct stats_page *page, struct stats_slot *reader)
{
	struct alarms a = { 0 };

	stats_set(reader, STAT_redis_memory_bytes, 700);
	look(&a, page, 10);
	ok(level_is(page, ALARM_memory, LEVEL_NORMAL), "without maxmemory there is no share of it");
	stats_set(reader, STAT_redis_memory_max_bytes, 1000);
	look(&a, page, 10);
	ok(level_is(page, ALARM_memory, LEVEL_WARNING), "70 %% of maxmemory: a warning");
	stats_set(reader, STAT_redis_memory_bytes, 800);
	look(&a, page, 10);
	ok(level_is(page, ALARM_memory, LEVEL_CRITICAL), "80 %%, where reading pauses: critical");
	stats_set(reader, STAT_redis_fragmentation, 9000);
	stats_set(reader, STAT_redis_rss_bytes, 7200);
	look(&a, page, 10);
	ok(level_is(page, ALARM_fragmentation, LEVEL_NORMAL), "a small Redis is always fragmented");
	stats_set(reader, STAT_redis_memory_bytes, 100000000);
	stats_set(reader, STAT_redis_rss_bytes, 900000000);
	look(&a, page, 10);
	ok(level_is(page, ALARM_fragmentation, LEVEL_WARNING), "ratio 9 of a large one: a warning");
	stats_set(reader, STAT_redis_fragmentation, 5000);
	look(&a, page, 10);
	ok(level_is(page, ALARM_fragmentation, LEVEL_NORMAL), "5 is not more than 5");
}

int main(void)
{
	struct stats_page *page = calloc(1, sizeof *page);

	if (!page)
		abort();
	log_init("test", LOG_ERROR);
	test_depth(page, &page->slots[0]);
	test_risk(page, &page->slots[0]);
	test_overflow(page, &page->slots[0]);
	test_memory(page, &page->slots[0]);
	free(page);
	return done();
}
