/* SPDX-License-Identifier: MIT
 *
 * frame_claims - what must hold for every message, and for every event that one gave
 */
#ifndef TESTS_FUZZ_FRAME_CLAIMS_H
#define TESTS_FUZZ_FRAME_CLAIMS_H

#include "codec/tid.h"
#include "tests/fuzz/event_claims.h"

/* 2026-06-01 */
static const int64_t received_us = 1780272000000000;

static bool lies_in(struct slice part, struct slice whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* An op that will be stored: its record is the block its CID names. */
static void must_be_stored_rightly(const struct op *op, struct slice frame)
{
	struct cid cid = {.codec = CID_DAG_CBOR};

	MUST(lies_in(op->record, frame) && lies_in(op->rkey, frame));
	if (op->action == OP_DELETE)
		return;
	memcpy(cid.digest, op->cid, CID_DIGEST);
	MUST(cid_matches(&cid, op->record) && op->record.n <= EVENT_MAX_RECORD);
}

static void must_keep_the_limits(const struct event *e, struct slice frame)
{
	MUST((e->kind >= EVENT_COMMIT && e->kind <= EVENT_SYNC) || e->kind == EVENT_BAD);
	MUST(e->kind != EVENT_BAD || (e->flags == FRAME_AHEAD && slice_eq(e->bytes, frame)));
	MUST(e->kind != EVENT_COMMIT || e->n_ops || event_is_ahead(e, received_us) == false);
	MUST(e->seq > 0 && e->seq < (uint64_t)1 << 53 && frame.n <= EVENT_MAX_FRAME);
	for (uint32_t i = 0; i < e->n_ops; i++)
		if (e->ops[i].verdict == OP_VERDICT_OK)
			must_be_stored_rightly(&e->ops[i], frame);
	if (e->n_ops && e->ops[0].verdict == OP_VERDICT_OK)
		MUST(tid_time_us(e->rev) - EVENT_REV_AHEAD_US <= received_us);
}

static void frame_claims(struct slice frame)
{
	static struct arena arena;
	struct event e;
	struct err err = {""};

	arena_reset(&arena);
	switch (event_from_frame(frame, received_us, &arena, &e, &err)) {
	case FRAME_OK:
		must_keep_the_limits(&e, frame);
		must_be_an_event(&e);
		must_survive_a_pack(&e);
		break;
	case FRAME_BAD:
		MUST(err.text[0] && e.kind == EVENT_NONE && e.n_ops == 0);
		break;
	case FRAME_INFO:
	case FRAME_ERROR:
	case FRAME_UNKNOWN:
		MUST(lies_in(e.reason, frame) && lies_in(e.bytes, frame));
		break;
	}
}

#endif
