/* SPDX-License-Identifier: MIT
 *
 * event_pack - layout of an event's payload, pack format 1; for event_pack.c and event_unpack.c
 *
 * Little-endian; a later writer may append fields, a reader ignores what follows.
 *	u8 shape            which optional parts follow (enum shape)
 *	i64 time_us         if SHAPE_TIME
 *	then by kind:
 *	commit   as sync, then [u64 since], [u64 prev_data], [varint n_filtered],
 *	         [varint n_ops if not 1], ops
 *	sync     did, u64 rev, commit CID, data root
 *	identity did, [text handle]
 *	account  did, [text status]
 *	gap      u64 after_epoch, u64 after_seq, u64 first_seq, text reason
 *	bad      text reason, text bytes
 *	frame    text bytes
 *	skip     varint n, then n times: collection, varint number of operations left out (or no payload at all)
 *	op       u8 action | OP_TID | OP_CID | verdict << 4, collection, rkey, [CID], text record;
 *	         without CID that of the record, if the verdict is OK
 * text: varint length + bytes. did: 15 bytes (the base32 of a did:plc) with SHAPE_PLC, else text.
 * collection: u8 index into event_known_collections, 0 = text follows. rkey: u64 with OP_TID, else
 * text.
 */
#ifndef DOMAIN_EVENT_PACK_H
#define DOMAIN_EVENT_PACK_H

#include "domain/event.h"

/* The first byte: which optional parts follow. */
enum shape {
	SHAPE_PLC = 1 << 0,
	SHAPE_TIME = 1 << 1,
	/* commit */
	SHAPE_SINCE = 1 << 2,
	SHAPE_PREV_DATA = 1 << 3,
	SHAPE_ONE_OP = 1 << 4,
	SHAPE_FILTERED = 1 << 5,
	/* identity, account: the same bits, other kinds */
	SHAPE_HANDLE = 1 << 2,
	SHAPE_ACTIVE = 1 << 2,
	SHAPE_STATUS = 1 << 3,
};

enum {
	OP_ACTION = 3,
	OP_TID = 1 << 2,
	OP_CID = 1 << 3,
	OP_VERDICT_SHIFT = 4,
	OP_MIN_BYTES = 4, /* the shortest op: head, a known collection, empty rkey, empty record */
	FILTERED_MIN_BYTES = 2, /* a known collection, a number */
	PLC_TEXT = 32,
	PLC_PREFIX = 8, /* "did:plc:" */
	PLC_BYTES = 15,
};

/* An op's digest is all zero if it has no CID; no block hashes to that. */
static inline bool digest_is_set(const uint8_t *digest)
{
	static const uint8_t none[CID_DIGEST];

	return memcmp(digest, none, CID_DIGEST) != 0;
}

/* True of a sound op whose record is there: its digest is the record's hash, and 32 bytes of nearly 400 need
 * not be kept. (An op of verdict OK without OP_CID says just this.) */
static inline bool op_cid_is_implied(const struct op *op)
{
	return op->verdict == OP_VERDICT_OK && op->action != OP_DELETE && op->record.n > 0;
}

#endif
