/* SPDX-License-Identifier: MIT
 *
 * wire - the bytes of frames: header and body objects, commit blocks, CAR slices
 *
 * Owns: nothing; appends to the caller's buffer. Errors: none.
 * Must not know: where the values come from. Source: lexicon com.atproto.sync.subscribeRepos.
 */
#ifndef RELAY_WIRE_H
#define RELAY_WIRE_H

#include "base/buf.h"
#include "codec/cid.h"
#include "codec/tid.h"
#include "sign.h"

enum wire_action { WIRE_CREATE, WIRE_UPDATE, WIRE_DELETE };

struct wire_op {
	enum wire_action action;
	const char *path;
	uint8_t cid[CID_DIGEST];  /* unless deleted */
	uint8_t prev[CID_DIGEST]; /* unless created */
};

/* What every message says. */
struct wire_head {
	const char *did;
	uint64_t seq;
	const char *time;
};

struct wire_commit {
	uint64_t rev, since;               /* since 0: null */
	const uint8_t *commit, *prev_data; /* digests; prev_data NULL: absent */
	const struct wire_op *ops;
	size_t n_ops;
	struct slice blocks;
};

void wire_commit(struct buf *out, const struct wire_head *head, const struct wire_commit *commit);
void wire_sync(struct buf *out, const struct wire_head *head, uint64_t rev, struct slice blocks);
void wire_identity(struct buf *out, const struct wire_head *head, const char *handle);
/* status NULL: none. */
void wire_account(struct buf *out, const struct wire_head *head, bool active, const char *status);
/* A message of a type that no consumer knows. */
void wire_unknown(struct buf *out, const struct wire_head *head);

/* Appends a commit block and computes its digest. key NULL: a signature of zeros. */
void wire_commit_block(struct buf *out, const char *did, uint64_t rev,
	const uint8_t data[CID_DIGEST], const struct signer *signer, const uint8_t *key,
	uint8_t ret_digest[CID_DIGEST]);
void wire_car_header(struct buf *out, const uint8_t root[CID_DIGEST]);
void wire_car_block(struct buf *out, const uint8_t digest[CID_DIGEST], struct slice block);

#endif
