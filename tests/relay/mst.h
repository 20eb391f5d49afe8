/* SPDX-License-Identifier: MIT
 *
 * mst - the Merkle search tree of one repo: sorted leaves, and digests of the nodes over them
 *
 * The tree's shape is a function of its keys: a key's layer is half the number of leading zero bits
 * of its SHA-256. So no node is stored, only its digest, at its first leaf; a change forgets the
 * digests of just those nodes that contain its place or border on it, and mst_root computes what is
 * missing. These are exactly the nodes a consumer needs to check and to undo the change. Owns:
 * copies of keys and blocks until mst_done. Invariant: leaves sorted bytewise, keys unique. Errors:
 * none. Must not know: commits, frames. Source: atproto.com/specs/repository.
 */
#ifndef RELAY_MST_H
#define RELAY_MST_H

#include "base/buf.h"
#include "codec/cid.h"

struct mst_node;

struct mst_leaf {
	struct mst_node *nodes;    /* digests of the nodes that begin with this leaf */
	uint8_t value[CID_DIGEST]; /* of the record */
	uint8_t *block;            /* the record's bytes, where the caller wants them kept */
	uint32_t n_block;
	bool hidden; /* the caller's mark */
	uint16_t n_key;
	char key[]; /* NUL-terminated */
};

struct mst {
	struct mst_leaf **leaves;
	uint8_t *layers; /* of the keys */
	size_t n, cap;
	uint8_t top; /* highest of them */
};

/* Receives a node that was computed: children before parents, the root last. */
typedef void mst_emit(void *ctx, const uint8_t digest[CID_DIGEST], struct slice block);

/* Layer of a key. */
uint8_t mst_layer(struct slice key);
/* Number of bytes that two keys begin with in common. */
size_t mst_common_prefix(struct slice a, struct slice b);
/* The leaf of that key, or NULL. *ret_index (may be NULL) gets where it is or would be. */
struct mst_leaf *mst_find(const struct mst *mst, const char *key, size_t *ret_index);
/* Sets key to value. The leaf stays valid until the key is deleted. */
struct mst_leaf *mst_put(struct mst *mst, const char *key, const uint8_t value[CID_DIGEST]);
/* Removes a key that must be there. */
void mst_delete(struct mst *mst, const char *key);
/* Computes the root; emit may be NULL. */
void mst_root(struct mst *mst, uint8_t ret_digest[CID_DIGEST], mst_emit *emit, void *ctx);
/* Keeps a copy of the record's bytes with the leaf. */
void mst_leaf_keep(struct mst_leaf *leaf, struct slice block);
void mst_done(struct mst *mst);

#endif
