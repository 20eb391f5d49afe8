/* SPDX-License-Identifier: MIT */
#include "base/stats.h"

#include <string.h>

const struct stats_info stats_info[N_STATS] = {
#define X(name, role, kind, unit, meaning) [STAT_##name] = { #name, #role, #kind, unit, meaning },
	STATS_LIST(X)
#undef X
};

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
