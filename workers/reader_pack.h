/* SPDX-License-Identifier: MIT
 *
 * reader_pack - events into packs, packs into a queue, in order of seq
 *
 * Owns: the open pack, the closed ones until reader_pack_drop, and the riders: gaps and bad frames,
 * which go in front of the next event that moves the head, in the same pack. The chain (previous
 * head, ordinals, bytes) begins at reader_pack_reset and is never repaired: if anything goes wrong
 * the caller throws all away and derives the position anew. Must not know: Redis, the loop, the
 * source.
 */
#ifndef WORKERS_READER_PACK_H
#define WORKERS_READER_PACK_H

#include "domain/event.h"
#include "io/stream.h"

struct packed {
	struct packed *next;
	struct buf bytes;
	struct stream_id id;
	uint64_t first_seq, first_ordinal, received_us;
	int64_t first_time_us, time_us; /* of the first and the last event, 0 if unknown */
	uint32_t n_events, n_gaps;
};

struct reader_pack {
	struct stream_id tail; /* id of the newest closed pack, at first the stream's head */
	uint64_t epoch, next_ordinal, next_byte;
	struct packed *open, *spare;
	struct packed *first, **end; /* closed, oldest first */
	size_t queued_bytes;
	int n_queued;
	uint64_t skip_seq; /* the head may move up to here without an event; 0: nothing waits */
	int64_t skip_us;   /* since when */
	uint32_t filtered[N_KNOWN_COLLECTIONS]; /* ops left out since the last pack was closed; [0]: all others */
	bool any_filtered;
	struct buf payload, riders;
	uint32_t n_riders, n_rider_gaps;
};

void reader_pack_init(struct reader_pack *p);
void reader_pack_done(struct reader_pack *p);
/* Empty, behind the head of `state`. */
void reader_pack_reset(struct reader_pack *p, const struct stream_state *state);
/* The next event; its seq is above all before. */
void reader_pack_event(struct reader_pack *p, const struct event *e);
/* A gap or a bad frame for the next pack that moves the head; beyond 8 MB of them their bytes are
 * left out. */
void reader_pack_rider(struct reader_pack *p, const struct event *e);
/* A frame that only moves the head; what was filtered out of it is counted in the pack that does. */
void reader_pack_skip(struct reader_pack *p, const struct event *e);
/* Closes the open pack, if there is one; a waiting skip rides in it. */
void reader_pack_close(struct reader_pack *p);
/* The same, and makes a pack for a waiting skip if none is open. */
void reader_pack_close_all(struct reader_pack *p);
/* The oldest n closed packs are in the stream. */
void reader_pack_drop(struct reader_pack *p, int n);

#endif
