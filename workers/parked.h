/* SPDX-License-Identifier: MIT
 *
 * parked - events that waited in PostgreSQL for the key of their account, taken up again
 *
 * The resolver marks them ready in the transaction that stores its answer. Each worker takes those of its share
 * of accounts, verifies them with what is stored now and writes them as any others; the row goes in the same
 * transaction, so that an event is parked or has its outcome, never neither. A worker that is gone is
 * missed only until it is back.
 * Owns: the batch. Must not know: Redis, the network.
 */
#ifndef WORKERS_PARKED_H
#define WORKERS_PARKED_H

#include "workers/child.h"
#include "workers/verifier.h"

struct parked {
	struct child *child;
	struct verifier *verifier;
	const struct suspects *suspects;
	struct batch batch;
	int64_t next_us;
	bool more; /* there may be some at once */
	struct complaint complaint;
};

/* Takes up some of what is ready, if it is time to look. What fails is still parked, and is taken up again. */
void parked_work(struct parked *p, struct writer *w);
void parked_done(struct parked *p);

#endif
