/* SPDX-License-Identifier: MIT
 *
 * frames - recordings of frames, and frames made to measure
 *
 * A recording is a sequence of 4-byte big-endian length + WebSocket message. A made frame is a
 * valid #commit of one or more ops unless its spec says what is to be wrong with it. Owns: what
 * recording_open read until recording_done.
 */
#ifndef TESTS_UNIT_FRAMES_H
#define TESTS_UNIT_FRAMES_H

#include "base/buf.h"
#include "codec/cid.h"
#include "domain/event.h"
#include "tests/unit/tap.h"

#include <endian.h>

struct recording {
	uint8_t *p;
	size_t n, at;
};

/* False if there is no such file below shared_dir(). */
__attribute__((unused)) static bool recording_open(const char *name, struct recording *ret)
{
	char path[4096];
	FILE *f;
	long n;

	*ret = (struct recording){ 0 };
	if (!shared_dir())
		return false;
	snprintf(path, sizeof path, "%s/%s", shared_dir(), name);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) > 0) {
		rewind(f);
		ret->p = malloc((size_t)n);
		ret->n = ret->p ? fread(ret->p, 1, (size_t)n, f) : 0;
	}
	fclose(f);
	return ret->n > 0;
}

/* False at the end. */
__attribute__((unused)) static bool recording_next(struct recording *r, struct slice *ret_frame)
{
	uint32_t n;

	if (r->n - r->at < sizeof n)
		return false;
	memcpy(&n, r->p + r->at, sizeof n);
	n = be32toh(n);
	if (n > r->n - r->at - sizeof n)
		return false;
	*ret_frame = slice_of(r->p + r->at + sizeof n, n);
	r->at += sizeof n + n;
	return true;
}

__attribute__((unused)) static void recording_done(struct recording *r)
{
	free(r->p);
}

/* Decodes a frame from memory of exactly its size, so that a sanitizer sees every step too far. */
__attribute__((unused)) static enum frame_status decode(
	struct slice frame, int64_t now_us, struct arena *arena, struct event *ret, struct err *err)
{
	err->text[0] = 0;
	return event_from_frame(arena_copy(arena, frame), now_us, arena, ret, err);
}

enum { MAJOR_UINT, MAJOR_NINT, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };

/* The head of a CBOR item in its shortest form. */
static void put_head(struct buf *b, unsigned major, uint64_t n)
{
	unsigned m = major << 5;

	if (n < 24) {
		buf_u8(b, (uint8_t)(m | n));
	} else if (n < 256) {
		buf_u8(b, (uint8_t)(m | 24));
		buf_u8(b, (uint8_t)n);
	} else if (n < 65536) {
		buf_u8(b, (uint8_t)(m | 25));
		buf_be16(b, (uint16_t)n);
	} else if (n <= UINT32_MAX) {
		buf_u8(b, (uint8_t)(m | 26));
		buf_be32(b, (uint32_t)n);
	} else {
		buf_u8(b, (uint8_t)(m | 27));
		buf_be64(b, n);
	}
}

static void put_string(struct buf *b, const char *s)
{
	put_head(b, MAJOR_TEXT, strlen(s));
	buf_add_str(b, s);
}

static void put_blob(struct buf *b, struct slice s)
{
	put_head(b, MAJOR_BYTES, s.n);
	buf_add_slice(b, s);
}

__attribute__((unused)) static void put_null(struct buf *b)
{
	buf_u8(b, 0xf6);
}

__attribute__((unused)) static void put_bool(struct buf *b, bool v)
{
	buf_u8(b, v ? 0xf5 : 0xf4);
}

static void put_cid(struct buf *b, const struct cid *cid)
{
	uint8_t bytes[CID_BYTES];

	cid_to_bytes(cid, bytes);
	buf_add(b, "\xd8\x2a\x58\x25\x00", 5);
	buf_add(b, bytes, sizeof bytes);
}

static struct cid cid_of(struct slice block)
{
	struct cid cid = { .codec = CID_DAG_CBOR };

	sha256(block, cid.digest);
	return cid;
}

static void put_length(struct buf *b, uint64_t n)
{
	for (; n > 127; n >>= 7)
		buf_u8(b, (uint8_t)(n | 128));
	buf_u8(b, (uint8_t)n);
}

static void put_block(struct buf *car, const struct cid *cid, struct slice block)
{
	uint8_t bytes[CID_BYTES];

	cid_to_bytes(cid, bytes);
	put_length(car, CID_BYTES + block.n);
	buf_add(car, bytes, sizeof bytes);
	buf_add_slice(car, block);
}

static void put_car_header(struct buf *car, const struct cid *root)
{
	struct buf header = BUF_INIT;

	put_head(&header, MAJOR_MAP, 2);
	put_string(&header, "roots");
	put_head(&header, MAJOR_ARRAY, 1);
	put_cid(&header, root);
	put_string(&header, "version");
	put_head(&header, MAJOR_UINT, 1);
	put_length(car, header.n);
	buf_add_slice(car, buf_slice(&header));
	buf_done(&header);
}

enum made_twist {
	NO_COMMIT_BLOCK = 1,
	COMMIT_BLOCK_CHANGED = 2,
	ROOT_DIFFERS = 4,
	CAR_CUT = 8,
	NO_DATA = 16,
	COMMIT_BLOCK_NOT_CBOR = 32,
};

enum op_twist {
	OP_NO_CID = 1,
	OP_RAW_CID = 2,
	OP_NULL_CID = 4,
	OP_NO_BLOCK = 8,
	OP_OTHER_BLOCK = 16,   /* another block under the record's CID */
	OP_BAD_THEN_GOOD = 32, /* the CID twice, the right block second */
	OP_NOT_MAP = 64,
	OP_PATH_NUMBER = 128,
	OP_TEXT_CID = 256,
};

struct made_op {
	const char *action, *path;
	struct slice record;
	unsigned twist; /* enum op_twist */
};

struct made {
	const char *type; /* "#commit" or "#sync" */
	uint64_t seq;
	const char *did, *rev, *since; /* since NULL: null */
	const char *time;
	const char *block_did, *block_rev; /* NULL: as above */
	const char *without, *retyped;     /* a field left out, one written as -7 */
	unsigned twist;                    /* enum made_twist */
	const struct made_op *ops;
	size_t n_ops, n_surplus, pad_bytes; /* surplus blocks in the CAR, size of one more */
};

/* Writes the key unless the spec leaves the field out; false if the value is not to be written. */
static bool field(struct buf *b, const struct made *m, const char *name)
{
	if (m->without && strcmp(m->without, name) == 0)
		return false;
	put_string(b, name);
	if (!m->retyped || strcmp(m->retyped, name) != 0)
		return true;
	put_head(b, MAJOR_NINT, 6);
	return false;
}

static void make_commit_block(const struct made *m, struct buf *b)
{
	struct cid data = cid_of(slice_str("data"));

	put_head(b, MAJOR_MAP, m->twist & NO_DATA ? 5 : 6);
	put_string(b, "did");
	put_string(b, m->block_did ? m->block_did : m->did);
	put_string(b, "rev");
	put_string(b, m->block_rev ? m->block_rev : m->rev);
	put_string(b, "sig");
	put_blob(b, slice_str("signature"));
	if (!(m->twist & NO_DATA)) {
		put_string(b, "data");
		put_cid(b, &data);
	}
	put_string(b, "prev");
	put_null(b);
	put_string(b, "version");
	put_head(b, MAJOR_UINT, 3);
	if (m->twist & COMMIT_BLOCK_NOT_CBOR)
		buf_u8(b, 0xff);
}

static void make_op_blocks(const struct made_op *op, struct buf *car)
{
	struct cid cid = cid_of(op->record);

	cid.codec = op->twist & OP_RAW_CID ? CID_RAW : CID_DAG_CBOR;
	if (op->twist & (OP_OTHER_BLOCK | OP_BAD_THEN_GOOD))
		put_block(car, &cid, slice_str("\xa0other"));
	if (op->record.n && !(op->twist & (OP_NO_BLOCK | OP_OTHER_BLOCK)))
		put_block(car, &cid, op->record);
}

/* Blocks nobody asks for: n_surplus small ones and one of pad_bytes. */
static void make_surplus(const struct made *m, struct buf *car)
{
	for (size_t i = 0; i < m->n_surplus; i++) {
		struct cid cid = cid_of(slice_of(&i, sizeof i));

		put_block(car, &cid, slice_of(NULL, 0));
	}
	if (m->pad_bytes) {
		struct cid cid = cid_of(slice_str("pad"));
		uint8_t *pad = calloc(1, m->pad_bytes);

		put_block(car, &cid, slice_of(pad, m->pad_bytes));
		free(pad);
	}
}

static struct cid make_car(const struct made *m, struct buf *car)
{
	struct buf block = BUF_INIT;
	struct cid commit, other = cid_of(slice_str("other"));

	make_commit_block(m, &block);
	commit = cid_of(buf_slice(&block));
	put_car_header(car, m->twist & ROOT_DIFFERS ? &other : &commit);
	for (size_t i = 0; i < m->n_ops; i++)
		make_op_blocks(&m->ops[i], car);
	make_surplus(m, car);
	if (m->twist & COMMIT_BLOCK_CHANGED)
		block.p[block.n - 1] ^= 1;
	if (!(m->twist & NO_COMMIT_BLOCK))
		put_block(car, &commit, buf_slice(&block));
	if (m->twist & CAR_CUT)
		car->n--;
	buf_done(&block);
	return commit;
}

static void make_op(const struct made_op *op, struct buf *b)
{
	struct cid cid = cid_of(op->record);
	bool has_cid = !(op->twist & OP_NO_CID);

	if (op->twist & OP_NOT_MAP) {
		put_string(b, "op");
		return;
	}
	cid.codec = op->twist & OP_RAW_CID ? CID_RAW : CID_DAG_CBOR;
	put_head(b, MAJOR_MAP, has_cid ? 3 : 2);
	if (has_cid)
		put_string(b, "cid");
	if (has_cid && op->twist & OP_TEXT_CID)
		put_string(b, "bafy");
	else if (has_cid && (!op->record.n || op->twist & OP_NULL_CID))
		put_null(b);
	else if (has_cid)
		put_cid(b, &cid);
	put_string(b, "path");
	if (op->twist & OP_PATH_NUMBER)
		put_head(b, MAJOR_UINT, 7);
	else
		put_string(b, op->path);
	put_string(b, "action");
	put_string(b, op->action);
}

/* The fields of #commit (key order of DAG-CBOR). */
static void make_commit_body(
	const struct made *m, const struct cid *commit, struct slice car, struct buf *b)
{
	struct cid prev = cid_of(slice_str("prev"));

	put_head(b, MAJOR_MAP, m->without ? 12 : 13);
	if (field(b, m, "ops")) {
		put_head(b, MAJOR_ARRAY, m->n_ops);
		for (size_t i = 0; i < m->n_ops; i++)
			make_op(&m->ops[i], b);
	}
	if (field(b, m, "rev"))
		put_string(b, m->rev);
	if (field(b, m, "seq"))
		put_head(b, MAJOR_UINT, m->seq);
	if (field(b, m, "repo"))
		put_string(b, m->did);
	if (field(b, m, "time"))
		put_string(b, m->time);
	if (field(b, m, "$type"))
		put_string(b, "com.atproto.sync.subscribeRepos#commit");
	if (field(b, m, "blobs"))
		put_head(b, MAJOR_ARRAY, 0);
	if (field(b, m, "since"))
		m->since ? put_string(b, m->since) : put_null(b);
	if (field(b, m, "blocks"))
		put_blob(b, car);
	if (field(b, m, "commit"))
		put_cid(b, commit);
	if (field(b, m, "rebase"))
		put_bool(b, false);
	if (field(b, m, "tooBig"))
		put_bool(b, true);
	if (field(b, m, "prevData"))
		put_cid(b, &prev);
}

static void make_sync_body(const struct made *m, struct slice car, struct buf *b)
{
	put_head(b, MAJOR_MAP, m->without ? 4 : 5);
	if (field(b, m, "did"))
		put_string(b, m->did);
	if (field(b, m, "rev"))
		put_string(b, m->rev);
	if (field(b, m, "seq"))
		put_head(b, MAJOR_UINT, m->seq);
	if (field(b, m, "time"))
		put_string(b, m->time);
	if (field(b, m, "blocks"))
		put_blob(b, car);
}

/* {"t": type, "op": 1} */
static void put_frame_header(struct buf *b, const char *type)
{
	put_head(b, MAJOR_MAP, 2);
	put_string(b, "t");
	put_string(b, type);
	put_string(b, "op");
	put_head(b, MAJOR_UINT, 1);
}

/* Replaces what is in b by the frame m describes. */
__attribute__((unused)) static void make_frame(const struct made *m, struct buf *b)
{
	struct buf car = BUF_INIT;
	struct cid commit = make_car(m, &car);

	buf_reset(b);
	put_frame_header(b, m->type);
	if (strcmp(m->type, "#sync") == 0)
		make_sync_body(m, buf_slice(&car), b);
	else
		make_commit_body(m, &commit, buf_slice(&car), b);
	buf_done(&car);
}

#endif
