/* SPDX-License-Identifier: MIT */
#include "wire.h"
#include "cbor_write.h"

/* The header object. */
static void write_header(struct buf *out, const char *type)
{
	cbor_write_map(out, 2);
	cbor_write_pair(out, "t", type);
	cbor_write_str(out, "op");
	cbor_write_uint(out, 1);
}

static void write_seq(struct buf *out, const struct wire_head *head)
{
	cbor_write_str(out, "seq");
	cbor_write_uint(out, head->seq);
}

static void write_tid(struct buf *out, const char *key, uint64_t tid)
{
	char text[TID_TEXT + 1];

	tid_format(tid, text);
	cbor_write_pair(out, key, text);
}

static void write_op(struct buf *out, const struct wire_op *op)
{
	static const char *const names[] = {
		[WIRE_CREATE] = "create", [WIRE_UPDATE] = "update", [WIRE_DELETE] = "delete"};

	cbor_write_map(out, op->action == WIRE_CREATE ? 3 : 4);
	cbor_write_str(out, "cid");
	if (op->action == WIRE_DELETE)
		cbor_write_null(out);
	else
		cbor_write_cid(out, CID_DAG_CBOR, op->cid);
	cbor_write_pair(out, "path", op->path);
	if (op->action != WIRE_CREATE) {
		cbor_write_str(out, "prev");
		cbor_write_cid(out, CID_DAG_CBOR, op->prev);
	}
	cbor_write_pair(out, "action", names[op->action]);
}

void wire_commit(struct buf *out, const struct wire_head *head, const struct wire_commit *commit)
{
	write_header(out, "#commit");
	cbor_write_map(out, commit->prev_data ? 12 : 11);
	cbor_write_str(out, "ops");
	cbor_write_array(out, commit->n_ops);
	for (size_t i = 0; i < commit->n_ops; i++)
		write_op(out, &commit->ops[i]);
	write_tid(out, "rev", commit->rev);
	write_seq(out, head);
	cbor_write_pair(out, "repo", head->did);
	cbor_write_pair(out, "time", head->time);
	cbor_write_str(out, "blobs");
	cbor_write_array(out, 0);
	if (commit->since) {
		write_tid(out, "since", commit->since);
	} else {
		cbor_write_str(out, "since");
		cbor_write_null(out);
	}
	cbor_write_str(out, "blocks");
	cbor_write_bytes(out, commit->blocks);
	cbor_write_str(out, "commit");
	cbor_write_cid(out, CID_DAG_CBOR, commit->commit);
	cbor_write_str(out, "rebase");
	cbor_write_bool(out, false);
	cbor_write_str(out, "tooBig");
	cbor_write_bool(out, false);
	if (commit->prev_data) {
		cbor_write_str(out, "prevData");
		cbor_write_cid(out, CID_DAG_CBOR, commit->prev_data);
	}
}

void wire_sync(struct buf *out, const struct wire_head *head, uint64_t rev, struct slice blocks)
{
	write_header(out, "#sync");
	cbor_write_map(out, 5);
	cbor_write_pair(out, "did", head->did);
	write_tid(out, "rev", rev);
	write_seq(out, head);
	cbor_write_pair(out, "time", head->time);
	cbor_write_str(out, "blocks");
	cbor_write_bytes(out, blocks);
}

void wire_identity(struct buf *out, const struct wire_head *head, const char *handle)
{
	write_header(out, "#identity");
	cbor_write_map(out, 4);
	cbor_write_pair(out, "did", head->did);
	write_seq(out, head);
	cbor_write_pair(out, "time", head->time);
	cbor_write_pair(out, "handle", handle);
}

void wire_account(struct buf *out, const struct wire_head *head, bool active, const char *status)
{
	write_header(out, "#account");
	cbor_write_map(out, status ? 5 : 4);
	cbor_write_pair(out, "did", head->did);
	write_seq(out, head);
	cbor_write_pair(out, "time", head->time);
	cbor_write_str(out, "active");
	cbor_write_bool(out, active);
	if (status)
		cbor_write_pair(out, "status", status);
}

void wire_unknown(struct buf *out, const struct wire_head *head)
{
	write_header(out, "#notYetInvented");
	cbor_write_map(out, 4);
	cbor_write_pair(out, "did", head->did);
	write_seq(out, head);
	cbor_write_pair(out, "time", head->time);
	cbor_write_pair(out, "purpose", "to be skipped");
}

/* The commit object; without sig it is what gets signed. */
static void write_commit_object(struct buf *out, const char *did, uint64_t rev,
	const uint8_t data[CID_DIGEST], const uint8_t *signature)
{
	cbor_write_map(out, signature ? 6 : 5);
	cbor_write_pair(out, "did", did);
	write_tid(out, "rev", rev);
	if (signature) {
		cbor_write_str(out, "sig");
		cbor_write_bytes(out, slice_of(signature, SIGN_BYTES));
	}
	cbor_write_str(out, "data");
	cbor_write_cid(out, CID_DAG_CBOR, data);
	cbor_write_str(out, "prev");
	cbor_write_null(out);
	cbor_write_str(out, "version");
	cbor_write_uint(out, 3);
}

void wire_commit_block(struct buf *out, const char *did, uint64_t rev,
	const uint8_t data[CID_DIGEST], const struct signer *signer, const uint8_t *key,
	uint8_t ret_digest[CID_DIGEST])
{
	uint8_t signature[SIGN_BYTES] = {0};
	size_t start = out->n;

	if (key) {
		write_commit_object(out, did, rev, data, NULL);
		sign_message(signer, key, slice_of(out->p + start, out->n - start), signature);
		out->n = start;
	}
	write_commit_object(out, did, rev, data, signature);
	sha256(slice_of(out->p + start, out->n - start), ret_digest);
}

static void write_varint(struct buf *out, size_t v)
{
	while (v >= 0x80) {
		buf_u8(out, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buf_u8(out, (uint8_t)v);
}

void wire_car_header(struct buf *out, const uint8_t root[CID_DIGEST])
{
	struct buf header = BUF_INIT;

	cbor_write_map(&header, 2);
	cbor_write_str(&header, "roots");
	cbor_write_array(&header, 1);
	cbor_write_cid(&header, CID_DAG_CBOR, root);
	cbor_write_str(&header, "version");
	cbor_write_uint(&header, 1);
	write_varint(out, header.n);
	buf_add_slice(out, buf_slice(&header));
	buf_done(&header);
}

void wire_car_block(struct buf *out, const uint8_t digest[CID_DIGEST], struct slice block)
{
	const struct cid cid = {.codec = CID_DAG_CBOR};
	uint8_t bytes[CID_BYTES];

	cid_to_bytes(&cid, bytes);
	memcpy(bytes + CID_BYTES - CID_DIGEST, digest, CID_DIGEST);
	write_varint(out, CID_BYTES + block.n);
	buf_add(out, bytes, CID_BYTES);
	buf_add_slice(out, block);
}
