/* SPDX-License-Identifier: MIT */
#include "faults.h"
#include "codec/car.h"
#include "codec/cbor.h"

int fault_add(struct fault_plan *plan, struct fault fault, struct err *err)
{
	if (plan->n == FAULTS_MAX)
		return err_set(err, "more than %d faults", FAULTS_MAX);
	plan->faults[plan->n++] = fault;
	return 0;
}

const struct fault *fault_next(
	struct fault_plan *plan, size_t *at, uint64_t seq_before, uint64_t seq)
{
	while (*at < plan->n) {
		struct fault *f = &plan->faults[(*at)++];

		if (f->seq <= seq_before || f->seq > seq ||
			(plan->times && f->n_done >= plan->times))
			continue;
		f->n_done++;
		return f;
	}
	return NULL;
}

void fault_garbage(struct buf *out, uint64_t seq)
{
	/* 0xff is a "break": no CBOR item begins with it. */
	for (int i = 0; i < 16; i++)
		buf_u8(out, 0xff);
	buf_printf(out, " garbage at %llu", (unsigned long long)seq);
}

/* The body of a frame: what follows the header item. */
static struct slice body_of(struct slice frame)
{
	struct cbor c = cbor_over(frame);

	if (cbor_skip(&c) != CBOR_OK)
		return slice_of(NULL, 0);
	return slice_of(c.p, (size_t)(c.end - c.p));
}

/* CID of the first op that has one. */
static bool first_record_cid(struct slice body, struct cid *ret_cid)
{
	struct cbor_item item;
	struct cbor ops;

	if (cbor_find(body, "ops", &ops) != CBOR_OK || cbor_next(&ops, &item) != CBOR_OK ||
		item.type != CBOR_ARRAY)
		return false;
	for (uint64_t i = 0; i < item.n; i++) {
		struct cbor_item cid;
		const uint8_t *start = ops.p;

		if (cbor_skip(&ops) != CBOR_OK)
			return false;
		if (cbor_path(slice_of(start, (size_t)(ops.p - start)), "cid", &cid, NULL) ==
				CBOR_OK &&
			cid.type == CBOR_CID)
			return cid_from_bytes(cid.s, ret_cid);
	}
	return false;
}

/* The block of that CID inside the frame. */
static bool find_block(struct slice body, const struct cid *cid, struct slice *ret_block)
{
	struct arena scratch = ARENA_INIT;
	struct cbor_item blocks;
	struct cid at;
	struct car car;
	bool found = false;

	if (cbor_path(body, "blocks", &blocks, NULL) == CBOR_OK && blocks.type == CBOR_BYTES &&
		car_open(blocks.s, &scratch, &car) == CAR_OK)
		while (!found && car_next(&car, &at, ret_block) == CAR_OK)
			found = cid_eq(&at, cid) && ret_block->n > 0;
	arena_done(&scratch);
	return found;
}

bool fault_corrupt(struct buf *out, struct slice frame)
{
	struct slice body = body_of(frame), block;
	struct cid cid;
	size_t at;

	if (!first_record_cid(body, &cid) || !find_block(body, &cid, &block))
		return false;
	at = out->n + (size_t)(block.p + block.n - 1 - frame.p);
	buf_add_slice(out, frame);
	out->p[at] ^= 1;
	return true;
}

void fault_flip(struct buf *out, struct slice frame, uint64_t bit)
{
	size_t at = out->n + bit / 8 % frame.n;

	buf_add_slice(out, frame);
	out->p[at] ^= (uint8_t)(1 << bit % 8);
}
