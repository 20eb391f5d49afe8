/* SPDX-License-Identifier: MIT
 *
 * event_claims - what must hold for every event that a frame or a pack gave
 */
#ifndef TESTS_FUZZ_EVENT_CLAIMS_H
#define TESTS_FUZZ_EVENT_CLAIMS_H

#include "codec/syntax.h"
#include "domain/event.h"
#include "tests/fuzz/fuzz.h"

static void must_be_sound(const struct op *op)
{
	MUST(nsid_valid(op->collection) && rkey_valid(op->rkey));
	MUST(op->action >= OP_CREATE && op->action <= OP_DELETE);
}

/* Of any decoded event: what its header promises. */
static void must_be_an_event(const struct event *e)
{
	MUST(e->kind >= EVENT_COMMIT && e->kind <= EVENT_SKIP);
	if (e->kind <= EVENT_SYNC)
		MUST(did_valid(e->did));
	MUST(e->rev <= INT64_MAX && e->since <= INT64_MAX && e->n_ops <= EVENT_MAX_OPS);
	for (uint32_t i = 0; i < e->n_ops; i++)
		if (e->ops[i].verdict == OP_VERDICT_OK)
			must_be_sound(&e->ops[i]);
}

/* Written, read and written again it is the same bytes, and the reader agrees in every part it compares. */
static void must_survive_a_pack(const struct event *e)
{
	static struct buf first, second;
	static struct arena arena;
	struct event again;
	struct err err;

	arena_reset(&arena);
	buf_reset(&first);
	buf_reset(&second);
	event_encode(e, &first);
	MUST(event_decode((uint8_t)e->kind, e->flags, e->seq, buf_slice(&first), &arena, &again, &err) == 0);
	must_be_an_event(&again);
	MUST(again.kind == e->kind && again.seq == e->seq && again.time_us == e->time_us);
	MUST(slice_eq(again.did, e->did) && again.rev == e->rev && again.n_ops == e->n_ops);
	for (uint32_t i = 0; i < e->n_ops; i++) {
		MUST(again.ops[i].verdict == e->ops[i].verdict && again.ops[i].action == e->ops[i].action);
		MUST(slice_eq(again.ops[i].rkey, e->ops[i].rkey));
		MUST(slice_eq(again.ops[i].collection, e->ops[i].collection));
		MUST(slice_eq(again.ops[i].record, e->ops[i].record));
	}
	event_encode(&again, &second);
	MUST(slice_eq(buf_slice(&first), buf_slice(&second)));
}

#endif
