/* SPDX-License-Identifier: MIT
 *
 * events - a recording as stream entries, packed by the reader's own code, without a reader or Redis
 *
 * Owns: the mapping of the recording and the packs not yet taken. Frames that the reader would not put into
 * the stream are left out.
 */
#ifndef TESTS_BENCH_EVENTS_H
#define TESTS_BENCH_EVENTS_H

#include "frame_file.h"

#include "base/arena.h"
#include "domain/event.h"
#include "workers/reader_pack.h"

struct events {
	struct frame_file file;
	struct reader_pack pack;
	struct arena arena;
	uint64_t next; /* frame */
	uint64_t n_events;
};

int events_open(struct events *e, const char *path, struct err *err) NODISCARD;
/* The next frame as an event; false if it is none. It lives until the next call. */
bool events_decode(struct events *e, struct event *ret);
/* The next closed packs of about n_events events; *ret borrows from e until events_taken. False at the end. */
bool events_next(struct events *e, int n_events, struct stream_entries *ret);
void events_taken(struct events *e, const struct stream_entries *entries);
void events_done(struct events *e);

#endif
