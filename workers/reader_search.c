/* SPDX-License-Identifier: MIT */
#include "workers/reader_search.h"

enum { FIRST_STRIDE = 1024, MAX_ASKED = 120 };
static const uint64_t max_seq = 1ull << 53;

void search_begin(struct reader_search *s, int64_t wanted_us, int64_t near_us)
{
	*s = (struct reader_search){ .wanted_us = wanted_us, .near_us = near_us, .stride = FIRST_STRIDE };
}

/* The next cursor, if one is worth asking for. */
static enum search_step go_on(struct reader_search *s)
{
	s->n_asked++;
	if ((s->high && s->high <= s->low + 1) || s->low + s->stride > max_seq || s->n_asked >= MAX_ASKED)
		return SEARCH_FOUND;
	if (s->high) {
		s->cursor = s->low + (s->high - s->low) / 2;
	} else {
		s->cursor = s->low + s->stride;
		s->stride *= 2;
	}
	return SEARCH_ASK;
}

enum search_step search_frame(struct reader_search *s, uint64_t seq, int64_t time_us)
{
	/* below its cursor: a host that serves the present if it is asked for the future */
	if (time_us > s->wanted_us || seq < s->cursor)
		return search_nothing(s);
	s->found = seq;
	/* an exclusive host may have more for the cursor `seq`, an inclusive one gives this frame again */
	s->low = seq > s->cursor + 1 ? seq - 1 : s->cursor;
	return time_us >= s->wanted_us - s->near_us ? SEARCH_FOUND : go_on(s);
}

enum search_step search_nothing(struct reader_search *s)
{
	if (!s->found)
		return SEARCH_IMPOSSIBLE;
	s->high = s->cursor;
	return go_on(s);
}
