/* SPDX-License-Identifier: MIT
 *
 * storm - every kind of wrong a relay can do, dealt like cards: each kind once before any comes again
 *
 * Of what it does wrong a reader can tell every time, so a right one ends with the same records as without it.
 * The same seed deals the same cards; which frames they meet depends on the connections. Owns: nothing outside
 * the struct. Must not know: sockets; it makes bytes and says what comes after them.
 */
#ifndef RELAY_STORM_H
#define RELAY_STORM_H

#include "base/buf.h"
#include "frame_log.h"
#include "rng.h"

#include <stdio.h>

/* Answers to the upgrade. */
#define STORM_ANSWERS(X)                                                                           \
	X(too_many_requests) X(internal_error) X(bad_gateway) X(unavailable) X(redirect) X(html)    \
	X(forbidden) X(wrong_accept) X(no_accept) X(deflate) X(subprotocol) X(no_http) X(half_answer) X(endless_answer)

/* What happens in place of a frame or before it. */
#define STORM_DEEDS(X)                                                                             \
	X(cut) X(reset) X(stall) X(garbage) X(text) X(truncated) X(trailing) X(empty) X(again) X(fell)   \
	X(seq_zero) X(seq_negative) X(seq_53_bits) X(hostile_cbor) X(oversize) X(length_63_bits)        \
	X(length_40_bits) X(reserved_bit) X(reserved_opcode) X(masked) X(long_control)                  \
	X(split_control) X(lone_continuation) X(nested_message) X(short_close) X(close)                 \
	X(too_slow) X(unknown_error) X(info) X(unknown_type) X(unknown_op) X(fragments) X(pings)

enum storm_answer {
#define X(name) STORM_ANSWER_##name,
	STORM_ANSWERS(X)
#undef X
	N_STORM_ANSWERS
};

enum storm_deed {
#define X(name) STORM_##name,
	STORM_DEEDS(X)
#undef X
	N_STORM_DEEDS
};

enum storm_next {
	STORM_FRAME, /* the frame itself */
	STORM_SENT,  /* it is among the bytes */
	STORM_CLOSE, /* the end of the connection, when the bytes have left */
	STORM_RESET, /* the same, by TCP reset */
	STORM_STALL, /* silence */
};

struct deck {
	uint8_t cards[64];
	unsigned n_left;
};

struct storm {
	uint64_t seed, every; /* a deed every so many frames, more or less; 0: never */
	uint64_t n_calm;      /* frames until the next */
	struct rng rng;
	struct deck answers, deeds;
	uint64_t n_answers[N_STORM_ANSWERS], n_deeds[N_STORM_DEEDS];
	bool begun;
};

/* True if this connection's upgrade is answered wrongly: out gets the answer, then it closes. */
bool storm_answer(struct storm *storm, struct buf *out);
/* What to do at the frame with that index; out gets raw bytes of the connection. */
enum storm_next storm_deed(struct storm *storm, const struct frame_log *log, uint64_t index, struct buf *out);
/* One line: "storm NAME=TIMES ...". */
void storm_report(const struct storm *storm, FILE *out);

#endif
