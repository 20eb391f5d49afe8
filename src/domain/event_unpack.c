/* SPDX-License-Identifier: MIT */
#include "domain/event_pack.h"

#include "codec/syntax.h"
#include "codec/tid.h"

#include <endian.h>

/* Bytes still to be read. Once something is wrong, `wrong` says what and all reads give nothing. */
struct in {
	const uint8_t *p, *end;
	const char *wrong;
};

/* The first complaint stays; nothing more is read. */
static void fail(struct in *in, const char *what)
{
	if (!in->wrong)
		in->wrong = what;
	in->p = in->end;
}

/* The next n bytes, or none if there are fewer. */
static struct slice get_bytes(struct in *in, uint64_t n)
{
	const uint8_t *p = in->p;

	if (n > (size_t)(in->end - p)) {
		fail(in, "truncated");
		return slice_of(NULL, 0);
	}
	in->p += n;
	return slice_of(p, (size_t)n);
}

/* One byte, 0 at the end. */
static uint8_t get_u8(struct in *in)
{
	struct slice s = get_bytes(in, 1);

	return s.n ? s.p[0] : 0;
}

/* Eight bytes, 0 at the end. */
static uint64_t get_le64(struct in *in)
{
	struct slice s = get_bytes(in, 8);
	uint64_t v = 0;

	if (s.n)
		memcpy(&v, s.p, sizeof v);
	return le64toh(v);
}

/* LEB128 of at most ten bytes. */
static uint64_t get_varint(struct in *in)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = get_u8(in);

		v |= (uint64_t)(byte & 127) << shift;
		if (!(byte & 128))
			return v;
	}
	fail(in, "number too long");
	return 0;
}

/* Length, then bytes; borrowed. */
static struct slice get_text(struct in *in)
{
	return get_bytes(in, get_varint(in));
}

/* Leaves the digest alone at the end. */
static void get_digest(struct in *in, uint8_t ret_digest[CID_DIGEST])
{
	struct slice s = get_bytes(in, CID_DIGEST);

	if (s.n)
		memcpy(ret_digest, s.p, CID_DIGEST);
}

/* The inverse of plc_pack; 32 characters. */
static void plc_unpack(const uint8_t *bytes, uint8_t *ret_text)
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";

	memcpy(ret_text, "did:plc:", PLC_PREFIX);
	for (size_t i = 0; i < 3; i++) {
		uint64_t bits = 0;

		for (size_t k = 0; k < 5; k++)
			bits = bits << 8 | bytes[5 * i + k];
		for (size_t k = 8; k-- > 0; bits >>= 5)
			ret_text[PLC_PREFIX + 8 * i + k] = (uint8_t)base32[bits & 31];
	}
}

/* The account, borrowed or spelt out in the arena. */
static struct slice get_did(struct in *in, unsigned shape, struct arena *arena)
{
	struct slice s = shape & SHAPE_PLC ? get_bytes(in, PLC_BYTES) : get_text(in);
	uint8_t *text;

	if (!(shape & SHAPE_PLC)) {
		if (!did_valid(s))
			fail(in, "did");
		return s;
	}
	if (!s.n)
		return s;
	text = arena_alloc(arena, PLC_TEXT);
	plc_unpack(s.p, text);
	return slice_of(text, PLC_TEXT);
}

/* From the table of known ones or as text. */
static struct slice get_collection(struct in *in)
{
	uint8_t known = get_u8(in);

	if (!known)
		return get_text(in);
	if (known < N_KNOWN_COLLECTIONS)
		return slice_str(event_known_collections[known]);
	fail(in, "collection of a newer version");
	return slice_of(NULL, 0);
}

/* Borrowed text, or a TID spelt out in the arena. */
static struct slice get_rkey(struct in *in, bool is_tid, struct arena *arena)
{
	char *text;

	if (!is_tid)
		return get_text(in);
	text = arena_alloc(arena, TID_TEXT + 1);
	tid_format(get_le64(in), text);
	return slice_of(text, TID_TEXT);
}

/* An op said to be sound goes into the database unseen, so it has to be. */
static void check_op(struct in *in, const struct op *op)
{
	if (!nsid_valid(op->collection) || !rkey_valid(op->rkey))
		fail(in, "path");
	else if (!op->action || (op->action != OP_DELETE) != digest_is_set(op->cid))
		fail(in, "action");
}

/* The inverse of put_op. */
static void get_op(struct in *in, struct arena *arena, struct op *op)
{
	uint8_t head = get_u8(in);

	op->action = head & OP_ACTION;
	op->verdict = head >> OP_VERDICT_SHIFT;
	op->collection = get_collection(in);
	op->rkey = get_rkey(in, head & OP_TID, arena);
	if (head & OP_CID)
		get_digest(in, op->cid);
	op->record = get_text(in);
	if (!(head & OP_CID) && op_cid_is_implied(op))
		sha256(op->record, op->cid);
	if (op->verdict == OP_VERDICT_OK)
		check_op(in, op);
}

/* Their number is checked against what is left before room is made. */
static void get_ops(struct in *in, unsigned shape, struct arena *arena, struct event *e)
{
	uint64_t n = shape & SHAPE_ONE_OP ? 1 : get_varint(in);

	if (n > EVENT_MAX_OPS || n * OP_MIN_BYTES > (size_t)(in->end - in->p)) {
		fail(in, "n_ops");
		return;
	}
	e->n_ops = (uint32_t)n;
	e->ops = arena_zalloc(arena, e->n_ops, sizeof *e->ops);
	for (uint32_t i = 0; i < e->n_ops; i++)
		get_op(in, arena, &e->ops[i]);
}

/* What was left out; nothing in the packs of before. */
static void get_filtered(struct in *in, struct arena *arena, struct event *e)
{
	struct filtered *list;
	uint64_t n = in->p < in->end ? get_varint(in) : 0;

	if (n > (size_t)(in->end - in->p) / FILTERED_MIN_BYTES) {
		fail(in, "n_filtered");
		return;
	}
	list = arena_zalloc(arena, (size_t)n, sizeof *list);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t n_ops;

		list[i].collection = get_collection(in);
		n_ops = get_varint(in);
		if (n_ops > INT32_MAX)
			fail(in, "n_filtered");
		list[i].n = (uint32_t)n_ops;
	}
	e->n_filtered_collections = (uint32_t)n;
	e->filtered = list;
}

/* A TID as the database can hold it. */
static uint64_t get_rev(struct in *in)
{
	uint64_t rev = get_le64(in);

	if (rev > INT64_MAX)
		fail(in, "rev");
	return rev;
}

/* What a commit and a sync share. */
static void get_root(struct in *in, struct event *e)
{
	e->rev = get_rev(in);
	get_digest(in, e->commit_cid);
	get_digest(in, e->data);
}

/* The rest of a commit. */
static void get_changes(struct in *in, unsigned shape, struct arena *arena, struct event *e)
{
	uint64_t n_filtered;

	if (shape & SHAPE_SINCE)
		e->since = get_rev(in);
	if (shape & SHAPE_PREV_DATA)
		e->prev_data = get_le64(in);
	n_filtered = shape & SHAPE_FILTERED ? get_varint(in) : 0;
	if (n_filtered > EVENT_MAX_OPS)
		fail(in, "n_filtered");
	e->n_filtered = (uint32_t)n_filtered;
	get_ops(in, shape, arena, e);
}

/* The part after shape, time and did. */
static void get_kind(struct in *in, unsigned shape, struct arena *arena, struct event *e)
{
	switch (e->kind) {
	case EVENT_COMMIT:
		get_root(in, e);
		get_changes(in, shape, arena, e);
		break;
	case EVENT_SYNC:
		get_root(in, e);
		break;
	case EVENT_IDENTITY:
		e->has_handle = shape & SHAPE_HANDLE;
		if (e->has_handle)
			e->handle = get_text(in);
		break;
	case EVENT_ACCOUNT:
		e->active = shape & SHAPE_ACTIVE;
		if (shape & SHAPE_STATUS)
			e->status = get_text(in);
		break;
	case EVENT_GAP:
		e->gap_after_epoch = get_le64(in);
		e->gap_after_seq = get_le64(in);
		e->gap_first_seq = get_le64(in);
		e->reason = get_text(in);
		break;
	case EVENT_BAD:
		e->reason = get_text(in);
		e->bytes = get_text(in);
		break;
	case EVENT_FRAME:
		e->bytes = get_text(in);
		break;
	case EVENT_SKIP:
		get_filtered(in, arena, e);
		break;
	case EVENT_NONE:
		break;
	}
}

int event_decode(uint8_t kind, uint8_t flags, uint64_t seq, struct slice payload,
	struct arena *arena, struct event *ret_event, struct err *err)
{
	struct in in = { payload.p, slice_end(payload), NULL };
	unsigned shape = payload.n ? get_u8(&in) : 0; /* a skip may be empty */

	*ret_event = (struct event){ .kind = (enum event_kind)kind, .flags = flags, .seq = seq };
	if (kind < EVENT_COMMIT || kind > EVENT_SKIP)
		return FRAME_UNKNOWN;
	if (shape & SHAPE_TIME)
		ret_event->time_us = (int64_t)get_le64(&in);
	if (kind <= EVENT_SYNC)
		ret_event->did = get_did(&in, shape, arena);
	get_kind(&in, shape, arena, ret_event);
	if (in.wrong)
		return err_set(err, "%s event: %s", event_kind_name(ret_event->kind), in.wrong);
	return 0;
}
