/* SPDX-License-Identifier: MIT
 *
 * proof - the part of a repo's Merkle search tree (MST) that came with a commit
 *
 * Kept flat: the leaves of all nodes whose blocks are there, in key order, and between them stubs for the
 * subtrees whose blocks are not. A tree's shape is a function of its keys (the layer of a key is half the
 * number of leading zero bits of its SHA-256), so no node needs to be kept: after a change the shape, depth
 * included, is computed anew from the leaves. Two places are known or not known, never guessed: where a
 * stub would have to be opened, the answer is PROOF_E_MISSING.
 * Owns: nothing; keys and items live in the arena, digests are copied.
 * Invariant: items are in key order, keys unique, every leaf's layer is that of its key.
 * Must not know: commits, operations, signatures. Source: atproto.com/specs/repository.
 */
#ifndef CODEC_PROOF_H
#define CODEC_PROOF_H

#include "codec/blocks.h"

enum proof_status {
	PROOF_OK = 0,
	PROOF_ABSENT,	  /* proof_find: the key is proven not to be there */
	PROOF_E_MISSING,  /* a block that is not there would have to be opened */
	PROOF_E_UNSOUND,  /* a node's block does not hash to its CID */
	PROOF_E_NODE,	  /* a block that is no node: not strict DAG-CBOR of the form {e, l} */
	PROOF_E_ORDER,	  /* keys not ascending, or a node linked twice */
	PROOF_E_PREFIX,	  /* a key not shortened by exactly what it shares with the one before it */
	PROOF_E_LAYER,	  /* a key or a subtree at a layer where it cannot be */
	N_PROOF_STATUS
};

enum { PROOF_MAX_KEY = 1024 };

struct proof_item;

struct proof {
	struct arena *arena;
	struct proof_item *items;
	size_t n, cap;
};

const char *proof_status_name(enum proof_status status);
/* Opens every node that can be reached from root, checking hashes and shape. */
enum proof_status proof_open(struct proof *p, const struct blocks *blocks, const uint8_t root[CID_DIGEST],
	struct arena *arena) NODISCARD;
/* PROOF_OK and the digest of the value, PROOF_ABSENT, or PROOF_E_MISSING. */
enum proof_status proof_find(const struct proof *p, struct slice key, uint8_t ret_value[CID_DIGEST]) NODISCARD;
/* Sets the key, or inserts it; with value NULL removes it. The key's bytes are borrowed. A removed key keeps
 * its place, so the order of changes does not matter. */
enum proof_status proof_set(struct proof *p, struct slice key, const uint8_t *value) NODISCARD;
/* The root of the tree as it is now. */
enum proof_status proof_root(const struct proof *p, uint8_t ret_root[CID_DIGEST]) NODISCARD;
/* Layer of a key. */
uint8_t proof_layer(struct slice key);

#endif
