/* SPDX-License-Identifier: MIT */
#include "domain/event_pack.h"

#include "codec/tid.h"

#include <assert.h>

/* Numbers in the stream: append only, never reorder. 0 means "as text". */
const char *const event_known_collections[N_KNOWN_COLLECTIONS] = {
	[1] = "app.bsky.feed.like",
	[2] = "app.bsky.feed.post",
	[3] = "app.bsky.feed.repost",
	[4] = "app.bsky.graph.follow",
	[5] = "app.bsky.graph.block",
	[6] = "app.bsky.graph.listitem",
	[7] = "app.bsky.graph.list",
	[8] = "app.bsky.graph.listblock",
	[9] = "app.bsky.graph.starterpack",
	[10] = "app.bsky.graph.verification",
	[11] = "app.bsky.feed.threadgate",
	[12] = "app.bsky.feed.postgate",
	[13] = "app.bsky.feed.generator",
	[14] = "app.bsky.actor.profile",
	[15] = "app.bsky.actor.status",
	[16] = "app.bsky.actor.contentVisibilityDeclaration",
	[17] = "app.bsky.notification.declaration",
	[18] = "app.bsky.labeler.service",
	[19] = "chat.bsky.actor.declaration",
};

/* LEB128. */
static void put_varint(struct buf *out, uint64_t v)
{
	for (; v > 127; v >>= 7)
		buf_u8(out, (uint8_t)(v | 128));
	buf_u8(out, (uint8_t)v);
}

/* Length, then bytes. */
static void put_text(struct buf *out, struct slice s)
{
	put_varint(out, s.n);
	buf_add_slice(out, s);
}

/* The 15 bytes of "did:plc:" + 24 base32 characters; false if did is something else. */
static bool plc_pack(struct slice did, uint8_t ret[PLC_BYTES])
{
	if (did.n != PLC_TEXT || memcmp(did.p, "did:plc:", PLC_PREFIX) != 0)
		return false;
	for (size_t i = 0; i < 3; i++) {
		uint64_t bits = 0;

		for (size_t k = 0; k < 8; k++) {
			uint8_t c = did.p[PLC_PREFIX + 8 * i + k];

			if (c >= 'a' && c <= 'z')
				bits = bits << 5 | (unsigned)(c - 'a');
			else if (c >= '2' && c <= '7')
				bits = bits << 5 | (unsigned)(c - '2' + 26);
			else
				return false;
		}
		for (size_t k = 5; k-- > 0; bits >>= 8)
			ret[5 * i + k] = (uint8_t)bits;
	}
	return true;
}

uint8_t event_known_collection(struct slice collection)
{
	for (uint8_t i = 1; i < N_KNOWN_COLLECTIONS; i++)
		if (slice_is(collection, event_known_collections[i]))
			return i;
	return 0;
}

/* One operation; the digest is left out where there is none, or where the record's hash is known to be it. */
static void put_op(struct buf *out, const struct op *op)
{
	uint8_t known = event_known_collection(op->collection);
	uint64_t tid = 0;
	bool is_tid = tid_parse(op->rkey, &tid), with_cid = digest_is_set(op->cid) && !op_cid_is_implied(op);

	assert(op->action <= OP_ACTION && op->verdict < 1 << (8 - OP_VERDICT_SHIFT));
	buf_u8(out, (uint8_t)(op->action | (is_tid ? OP_TID : 0) | (with_cid ? OP_CID : 0) |
			      op->verdict << OP_VERDICT_SHIFT));
	buf_u8(out, known);
	if (!known)
		put_text(out, op->collection);
	if (is_tid)
		buf_le64(out, tid);
	else
		put_text(out, op->rkey);
	if (with_cid)
		buf_add(out, op->cid, CID_DIGEST);
	put_text(out, op->record);
}

static void put_filtered(struct buf *out, const struct event *e)
{
	put_varint(out, e->n_filtered_collections);
	for (uint32_t i = 0; i < e->n_filtered_collections; i++) {
		uint8_t known = event_known_collection(e->filtered[i].collection);

		buf_u8(out, known);
		if (!known)
			put_text(out, e->filtered[i].collection);
		put_varint(out, e->filtered[i].n);
	}
}

/* What a commit and a sync share. */
static void put_root(struct buf *out, const struct event *e)
{
	buf_le64(out, e->rev);
	buf_add(out, e->commit_cid, CID_DIGEST);
	buf_add(out, e->data, CID_DIGEST);
}

/* The rest of a commit. */
static void put_changes(struct buf *out, const struct event *e, unsigned shape)
{
	if (shape & SHAPE_SINCE)
		buf_le64(out, e->since);
	if (shape & SHAPE_PREV_DATA)
		buf_le64(out, e->prev_data);
	if (shape & SHAPE_FILTERED)
		put_varint(out, e->n_filtered);
	if (!(shape & SHAPE_ONE_OP))
		put_varint(out, e->n_ops);
	for (uint32_t i = 0; i < e->n_ops; i++)
		put_op(out, &e->ops[i]);
}

/* The bits of the optional parts of a kind. */
static unsigned shape_of(const struct event *e)
{
	unsigned shape = e->time_us ? SHAPE_TIME : 0;

	if (e->kind == EVENT_COMMIT) {
		shape |= e->since ? SHAPE_SINCE : 0;
		shape |= e->prev_data ? SHAPE_PREV_DATA : 0;
		shape |= e->n_ops == 1 ? SHAPE_ONE_OP : 0;
		shape |= e->n_filtered ? SHAPE_FILTERED : 0;
	} else if (e->kind == EVENT_IDENTITY) {
		shape |= e->has_handle ? SHAPE_HANDLE : 0;
	} else if (e->kind == EVENT_ACCOUNT) {
		shape |= e->active ? SHAPE_ACTIVE : 0;
		shape |= e->status.n ? SHAPE_STATUS : 0;
	}
	return shape;
}

/* The part after shape, time and did. */
static void put_kind(struct buf *out, const struct event *e, unsigned shape)
{
	switch (e->kind) {
	case EVENT_COMMIT:
		put_root(out, e);
		put_changes(out, e, shape);
		break;
	case EVENT_SYNC:
		put_root(out, e);
		break;
	case EVENT_IDENTITY:
		if (e->has_handle)
			put_text(out, e->handle);
		break;
	case EVENT_ACCOUNT:
		if (e->status.n)
			put_text(out, e->status);
		break;
	case EVENT_GAP:
		buf_le64(out, e->gap_after_epoch);
		buf_le64(out, e->gap_after_seq);
		buf_le64(out, e->gap_first_seq);
		put_text(out, e->reason);
		break;
	case EVENT_BAD:
		put_text(out, e->reason);
		put_text(out, e->bytes);
		break;
	case EVENT_FRAME:
		put_text(out, e->bytes);
		break;
	case EVENT_SKIP:
		put_filtered(out, e);
		break;
	case EVENT_NONE:
		break;
	}
}

void event_encode(const struct event *e, struct buf *out)
{
	bool has_did = e->kind >= EVENT_COMMIT && e->kind <= EVENT_SYNC;
	uint8_t plc[PLC_BYTES];
	bool is_plc = has_did && plc_pack(e->did, plc);
	unsigned shape = shape_of(e) | (is_plc ? SHAPE_PLC : 0);

	buf_u8(out, (uint8_t)shape);
	if (shape & SHAPE_TIME)
		buf_le64(out, (uint64_t)e->time_us);
	if (is_plc)
		buf_add(out, plc, PLC_BYTES);
	else if (has_did)
		put_text(out, e->did);
	put_kind(out, e, shape);
}
