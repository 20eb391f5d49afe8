/* SPDX-License-Identifier: MIT */
#include "domain/verify.h"

#include "base/buf.h"
#include "codec/cbor.h"
#include "codec/proof.h"
#include "domain/event_field.h"

#include <assert.h>

enum { COMMIT_VERSION = 3 };

const char *verify_check_name(enum verify_check check)
{
	static const char *const names[N_VERIFY_CHECKS] = {
#define X(name, text) [VERIFY_##name] = text,
		VERIFY_CHECKS(X)
#undef X
	};

	return (unsigned)check < N_VERIFY_CHECKS ? names[check] : "unknown";
}

/* err_set, and the check that failed. */
static enum verify_check fails(enum verify_check check, struct err *why, const char *what)
{
	err_set(why, "%s", what);
	return check;
}

/* ---- the commit block ---- */

/* SHA-256 of the commit without its signature: one pair less, the rest as it stands. */
static void unsigned_digest(struct slice block, struct slice sig, uint8_t ret[CID_DIGEST])
{
	static const char key[] = "\x63sig";
	const uint8_t *begin = sig.p - 2 - (sizeof key - 1); /* 58 40 before the bytes, the key before that */
	const uint8_t *end = sig.p + sig.n;
	struct buf rest = BUF_INIT;

	buf_u8(&rest, (uint8_t)(block.p[0] - 1));
	buf_add(&rest, block.p + 1, (size_t)(begin - block.p) - 1);
	buf_add(&rest, end, (size_t)(block.p + block.n - end));
	sha256(buf_slice(&rest), ret);
	buf_done(&rest);
}

/* What is not in the frame too; the block passed cbor_check. */
static enum verify_check read_commit(struct slice block, struct slice *ret_sig, struct err *why)
{
	enum { SIG, PREV, VERSION, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[SIG] = FIELD("sig", CBOR_BYTES, FIELD_REQUIRED),
		[PREV] = FIELD("prev", CBOR_CID, FIELD_OPTIONAL),
		[VERSION] = FIELD("version", CBOR_UINT, FIELD_REQUIRED),
	};
	struct field f[N_FIELDS];

	if (fields_read(block, specs, N_FIELDS, f, why))
		return VERIFY_COMMIT_FIELDS;
	if (f[VERSION].item.n != COMMIT_VERSION)
		return fails(VERIFY_COMMIT_FIELDS, why, "version: not 3");
	if (f[SIG].item.s.n != SIGN_BYTES)
		return fails(VERIFY_COMMIT_FIELDS, why, "sig: not 64 bytes");
	if ((block.p[0] & 0x1f) >= 24) /* a map of so many members has a longer head */
		return fails(VERIFY_COMMIT_FIELDS, why, "more members than any commit has");
	*ret_sig = f[SIG].item.s;
	return VERIFY_OK;
}

static enum verify_check check_signature(
	const struct event *e, const struct blocks *blocks, const struct sign_key *key, struct err *why)
{
	uint8_t digest[CID_DIGEST];
	struct slice block, sig;
	enum verify_check check;

	if (blocks_find(blocks, e->commit_cid, &block) != BLOCK_OK)
		return fails(VERIFY_COMMIT_FIELDS, why, "the commit block is not there");
	check = read_commit(block, &sig, why);
	if (check)
		return check;
	if (!key)
		return fails(VERIFY_NO_KEY, why, "the account has no signing key");
	unsigned_digest(block, sig, digest);
	if (!sign_verify(key, digest, sig))
		return fails(VERIFY_SIGNATURE, why, "not signed by the account's key");
	return VERIFY_OK;
}

/* ---- operations ---- */

/* The path as it stands in the frame. */
static struct slice path_of(const struct op *op)
{
	if (!op->collection.n)
		return op->rkey;
	return slice_of(op->collection.p, (size_t)(op->rkey.p + op->rkey.n - op->collection.p));
}

/* Does the tree hold now what the operation says it does afterwards? */
static bool holds(const struct proof *tree, const struct op *op, struct slice path, enum proof_status *ret_status)
{
	uint8_t value[CID_DIGEST];

	*ret_status = proof_find(tree, path, value);
	if (op->action == OP_DELETE)
		return *ret_status == PROOF_ABSENT;
	return *ret_status == PROOF_OK && memcmp(value, op->cid, CID_DIGEST) == 0;
}

/* err: which operation, and what is wrong with it. */
static enum verify_check fails_op(
	enum verify_check check, struct err *why, uint32_t i, struct slice path, const char *what)
{
	err_set(why, "operation %u (%.*s): %s", (unsigned)i, (int)(path.n > 200 ? 200 : path.n), (const char *)path.p,
		what);
	return check;
}

/* Only the last operation on a path says what the tree holds. */
static bool is_last(const struct event *e, uint32_t i, struct slice path)
{
	for (uint32_t k = i + 1; k < e->n_ops; k++)
		if (slice_eq(path_of(&e->ops[k]), path))
			return false;
	return true;
}

static enum verify_check check_ops(const struct event *e, const struct proof *tree, struct err *why)
{
	for (uint32_t i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];
		struct slice path = path_of(op);
		enum proof_status status;

		if (!op->action || !path.n)
			return fails_op(VERIFY_OP_PROOF, why, i, path, "neither create, update nor delete of a path");
		if (is_last(e, i, path) && !holds(tree, op, path, &status))
			return fails_op(VERIFY_OP_PROOF, why, i, path,
				status < PROOF_E_MISSING ? "the tree says otherwise" : proof_status_name(status));
	}
	return VERIFY_OK;
}

/* Undoes one operation; NULL or what is wrong. */
static const char *undo(struct proof *tree, const struct op *op, struct slice path)
{
	enum proof_status status;

	if (!holds(tree, op, path, &status))
		return "the operations contradict each other";
	if (op->action != OP_CREATE && !op->prev)
		return "what was there before is not given";
	status = proof_set(tree, path, op->action == OP_CREATE ? NULL : op->prev);
	return status ? proof_status_name(status) : NULL;
}

static enum verify_check check_inversion(const struct event *e, struct proof *tree, struct err *why)
{
	uint8_t root[CID_DIGEST];
	enum proof_status status;

	for (uint32_t i = e->n_ops; i-- > 0;) {
		struct slice path = path_of(&e->ops[i]);
		const char *wrong = undo(tree, &e->ops[i], path);

		if (wrong)
			return fails_op(VERIFY_INVERSION, why, i, path, wrong);
	}
	status = proof_root(tree, root);
	if (status)
		return fails(VERIFY_INVERSION, why, proof_status_name(status));
	if (memcmp(root, e->prev_root, CID_DIGEST) != 0)
		return fails(VERIFY_INVERSION, why, "undone, the operations lead to another tree than prevData");
	return VERIFY_OK;
}

static enum verify_check check_tree(
	const struct event *e, const struct blocks *blocks, struct arena *arena, struct err *why)
{
	enum proof_status status;
	enum verify_check check;
	struct proof tree;

	status = proof_open(&tree, blocks, e->data, arena);
	if (status)
		return fails(VERIFY_TREE, why, proof_status_name(status));
	check = check_ops(e, &tree, why);
	if (check || !e->has_prev_data)
		return check;
	return check_inversion(e, &tree, why);
}

/* A commit without operations leaves the tree as it was, unless it had too many to be told. */
static enum verify_check check_empty(const struct event *e, struct err *why)
{
	if (e->has_prev_data && !e->too_big && memcmp(e->prev_root, e->data, CID_DIGEST) != 0)
		return fails(VERIFY_INVERSION, why, "no operations, and yet another tree than prevData");
	return VERIFY_OK;
}

enum verify_check verify_event(const struct event *e, const struct sign_key *key, struct arena *arena, struct err *why)
{
	struct blocks blocks;
	enum verify_check check;
	struct car car;

	assert(event_is_signed(e));
	if (car_open(e->blocks, arena, &car) || blocks_index(&car, arena, &blocks))
		return fails(VERIFY_COMMIT_FIELDS, why, "no CAR");
	check = check_signature(e, &blocks, key, why);
	if (check || e->kind == EVENT_SYNC)
		return check;
	if (e->has_prev_data && !e->prev_root)
		return fails(VERIFY_INVERSION, why, "prevData is not the CID of a tree");
	return e->n_ops ? check_tree(e, &blocks, arena, why) : check_empty(e, why);
}
