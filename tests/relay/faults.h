/* SPDX-License-Identifier: MIT
 *
 * faults - what the relay does wrong on request, per seq and per connection
 *
 * A fault at SEQ belongs to the first frame of the stream whose seq is SEQ or, where seqs have
 * gaps, above it. Owns: nothing outside the struct. Errors: fault_add when the plan is full. Must
 * not know: connections.
 */
#ifndef RELAY_FAULTS_H
#define RELAY_FAULTS_H

#include "base/buf.h"

enum fault_kind {
	FAULT_BAD,       /* a message of garbage */
	FAULT_OVERSIZE,  /* a message of n_bytes zeros */
	FAULT_WRONG_CID, /* the frame itself with one bit of its record block flipped */
	FAULT_FLIP,      /* the frame itself with its bit n_bytes flipped, counted on past its end */
};

enum { FAULTS_MAX = 4096 };

struct fault {
	enum fault_kind kind;
	uint64_t seq, n_bytes;
	uint64_t n_done;
};

struct fault_plan {
	struct fault faults[FAULTS_MAX];
	size_t n;
	uint64_t times;     /* each fault happens that often; 0: always */
	bool instead;       /* FAULT_BAD and FAULT_OVERSIZE replace the frame */
	uint64_t cut_after; /* messages per connection; 0: never */
	bool cut_within;    /* close inside the message after cut_calm ones: one byte later each time */
	uint64_t cut_calm, n_cuts;
	bool stall;         /* fall silent after stall_after messages of each connection */
	uint64_t stall_after;
};

int fault_add(struct fault_plan *plan, struct fault fault, struct err *err) NODISCARD;
/* The next fault at or after plan->faults[*at] that is due between the seq sent before (exclusive)
 * and this one (inclusive), counted as done; *at moves behind it. NULL if there is none. */
const struct fault *fault_next(
	struct fault_plan *plan, size_t *at, uint64_t seq_before, uint64_t seq);
/* Appends the garbage of that seq: never CBOR, the same bytes every time. */
void fault_garbage(struct buf *out, uint64_t seq);
/* Appends a #commit frame with one bit of its first record block flipped; false (nothing appended)
 * if the frame has no record. */
bool fault_corrupt(struct buf *out, struct slice frame);
/* Appends the frame with that bit flipped. */
void fault_flip(struct buf *out, struct slice frame, uint64_t bit);

#endif
