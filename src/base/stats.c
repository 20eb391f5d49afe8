/* SPDX-License-Identifier: MIT */
#include "base/stats.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

const struct stats_info stats_info[N_STATS] = {
#define X(name, role, kind, unit, meaning) [STAT_##name] = { #name, #role, #kind, unit, meaning },
	STATS_LIST(X)
#undef X
};

const struct stats_name stage_names[N_STAGES] = {
#define X(name, meaning) { #name, meaning },
	STAGES_LIST(X)
#undef X
};

const struct stats_name alarm_names[N_ALARMS] = {
#define X(name, meaning) { #name, meaning },
	ALARMS_LIST(X)
#undef X
};

static uint64_t mark_key(uint64_t epoch, uint64_t seq)
{
	return (epoch << 53) ^ seq;
}

/* Neighbouring seqs far apart. */
static size_t mark_place(uint64_t key)
{
	return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % STATS_MARKS;
}

void stats_mark_set(struct stats_page *page, uint64_t epoch, uint64_t seq, uint64_t at_us)
{
	uint64_t key = mark_key(epoch, seq);
	struct stats_mark *mark = &page->marks[mark_place(key)];

	/* never this key with another's time */
	atomic_store_explicit(&mark->key, 0, memory_order_release);
	atomic_store_explicit(&mark->at_us, at_us, memory_order_release);
	atomic_store_explicit(&mark->key, key, memory_order_release);
}

uint64_t stats_mark_get(const struct stats_page *page, uint64_t epoch, uint64_t seq)
{
	uint64_t key = mark_key(epoch, seq), at_us;
	const struct stats_mark *mark = &page->marks[mark_place(key)];

	if (atomic_load_explicit(&mark->key, memory_order_acquire) != key)
		return 0;
	at_us = atomic_load_explicit(&mark->at_us, memory_order_acquire);
	return atomic_load_explicit(&mark->key, memory_order_acquire) == key ? at_us : 0;
}

uint64_t stats_work(const struct stats_slot *s)
{
	uint64_t work = 0;

	for (int i = 0; i < N_STATS; i++)
		if (stats_info[i].kind[0] == 'c' && i != STAT_log_dropped)
			work += stats_get(s, (enum stats_id)i);
	return work;
}

uint64_t stats_total(const struct stats_page *page, enum stats_id stat)
{
	int gauge = strcmp(stats_info[stat].kind, "gauge") == 0;
	uint64_t total = 0;

	for (int i = 0; i < STATS_MAX_SLOTS; i++) {
		uint64_t v = stats_get(&page->slots[i], stat);

		if (!gauge)
			total += v;
		else if (v > total)
			total = v;
	}
	return total;
}

bool stats_is_crash(int signal)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (signals[i] == signal)
			return true;
	return false;
}
