/* SPDX-License-Identifier: MIT
 *
 * reader_search - which cursor of a host leads to a given time
 *
 * Seqs of two hosts cannot be compared, the time fields of their frames can. The search asks for cursors: first
 * the oldest frame, then ever further ahead, then the half of what is left, until a frame is found that is at
 * most near_us earlier than wanted_us, or the last one before it.
 * Owns: nothing. Invariant: what is found is the seq of a frame that was seen, not later than wanted_us.
 * Must not know: connections, Redis, the epoch that comes of it.
 */
#ifndef WORKERS_READER_SEARCH_H
#define WORKERS_READER_SEARCH_H

#include <stdint.h>

enum search_step {
	SEARCH_ASK = 0,    /* for the first frame after search.cursor */
	SEARCH_FOUND,      /* search.found */
	SEARCH_IMPOSSIBLE, /* the host has nothing so early, or nothing at all */
};

struct reader_search {
	int64_t wanted_us, near_us;
	uint64_t cursor; /* to ask for now; 0: the oldest frame */
	uint64_t found;	 /* newest frame seen that is early enough; 0: none yet */
	uint64_t low;	 /* this cursor is early enough */
	uint64_t high;	 /* this one is too late; 0: none is known yet */
	uint64_t stride;
	int n_asked;
};

void search_begin(struct reader_search *s, int64_t wanted_us, int64_t near_us);
/* The first frame that came. */
enum search_step search_frame(struct reader_search *s, uint64_t seq, int64_t time_us);
/* None came. */
enum search_step search_nothing(struct reader_search *s);

#endif
