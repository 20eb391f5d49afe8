/* SPDX-License-Identifier: MIT
 *
 * The root of a partial tree: nodes are made from the flat list again, layer by layer.
 */
#include "codec/proof_private.h"

#include "base/buf.h"

#include <assert.h>

static void put_head(struct buf *out, unsigned major, uint64_t n)
{
	assert(n <= UINT32_MAX);
	if (n < 24) {
		buf_u8(out, (uint8_t)(major << 5 | n));
	} else if (n < 256) {
		buf_u8(out, (uint8_t)(major << 5 | 24));
		buf_u8(out, (uint8_t)n);
	} else if (n < 65536) {
		buf_u8(out, (uint8_t)(major << 5 | 25));
		buf_be16(out, (uint16_t)n);
	} else {
		buf_u8(out, (uint8_t)(major << 5 | 26));
		buf_be32(out, (uint32_t)n);
	}
}

/* A CID, or null. */
static void put_link(struct buf *out, const uint8_t *digest)
{
	static const uint8_t head[] = { 0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01, 0x71, 0x12, 0x20 };

	if (!digest) {
		buf_u8(out, 0xf6);
		return;
	}
	buf_add(out, head, sizeof head);
	buf_add(out, digest, CID_DIGEST);
}

/* The subtree that begins at items[i], if there is one before hi. */
static const uint8_t *subtree_at(const struct proof_item *items, size_t i, size_t hi)
{
	return i < hi && !items[i].key.p ? items[i].digest : NULL;
}

static size_t common_prefix(struct slice a, struct slice b)
{
	size_t n = 0;

	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	return n;
}

/* The node over items [lo, hi): leaves, and subtrees of one layer below. */
static void put_node(struct buf *out, const struct proof_item *items, size_t lo, size_t hi)
{
	struct slice before = { NULL, 0 };
	size_t n_leaves = 0;

	for (size_t i = lo; i < hi; i++)
		n_leaves += items[i].key.p != NULL;
	buf_add(out, "\xa2\x61" "e", 3);
	put_head(out, 4, n_leaves);
	for (size_t i = lo; i < hi; i++) {
		struct slice key = items[i].key;
		size_t n_shared = common_prefix(before, key);

		if (!key.p)
			continue;
		before = key;
		buf_add(out, "\xa4\x61k", 3);
		put_head(out, 2, key.n - n_shared);
		buf_add(out, key.p + n_shared, key.n - n_shared);
		buf_add(out, "\x61p", 2);
		put_head(out, 0, n_shared);
		buf_add(out, "\x61t", 2);
		put_link(out, subtree_at(items, i + 1, hi));
		buf_add(out, "\x61v", 2);
		put_link(out, items[i].digest);
	}
	buf_add(out, "\x61l", 2);
	put_link(out, subtree_at(items, lo, hi));
}

/* Can items [lo, hi) be a node at that layer without opening a stub? */
static bool is_node(const struct proof_item *items, size_t lo, size_t hi, unsigned layer)
{
	for (size_t i = lo; i < hi; i++) {
		if (items[i].key.p)
			continue;
		if (items[i].layer >= layer || (i > lo && !items[i - 1].key.p))
			return false;
	}
	return true;
}

/* One layer: each longest run of items no higher than it becomes a node, that is, a stub of that layer. */
static enum proof_status fold_layer(struct proof_item *items, size_t *n, unsigned layer, struct buf *scratch)
{
	size_t n_out = 0, hi;

	for (size_t lo = 0; lo < *n; lo = hi) {
		hi = lo;
		while (hi < *n && (!items[hi].key.p || items[hi].layer <= layer))
			hi++;
		if (hi - lo == 1 && !items[lo].key.p && items[lo].layer >= layer) {
			items[n_out++] = items[lo];
		} else if (hi > lo) {
			struct proof_item node = { .layer = (uint8_t)layer };

			if (!is_node(items, lo, hi, layer))
				return PROOF_E_MISSING;
			buf_reset(scratch);
			put_node(scratch, items, lo, hi);
			sha256(buf_slice(scratch), node.digest);
			items[n_out++] = node;
		}
		if (hi < *n)
			items[n_out++] = items[hi++];
	}
	*n = n_out;
	return PROOF_OK;
}

/* What was not removed, and the highest layer of a leaf in it (-1: none). */
static size_t present(const struct proof *p, struct proof_item *ret, int *ret_top)
{
	size_t n = 0;

	*ret_top = -1;
	for (size_t i = 0; i < p->n; i++) {
		if (p->items[i].removed)
			continue;
		if (p->items[i].key.p && p->items[i].layer > *ret_top)
			*ret_top = p->items[i].layer;
		ret[n++] = p->items[i];
	}
	return n;
}

enum proof_status proof_root(const struct proof *p, uint8_t ret_root[CID_DIGEST])
{
	struct proof_item *items = arena_alloc(p->arena, p->n * sizeof *items);
	enum proof_status status = PROOF_OK;
	struct buf scratch = BUF_INIT;
	int top;
	size_t n = present(p, items, &top);

	for (int layer = 0; layer <= top && !status; layer++)
		status = fold_layer(items, &n, (unsigned)layer, &scratch);
	if (!status && n == 0) {
		put_node(&scratch, items, 0, 0);
		sha256(buf_slice(&scratch), ret_root);
	} else if (!status && n == 1) {
		memcpy(ret_root, items[0].digest, CID_DIGEST);
	} else if (!status) {
		status = PROOF_E_MISSING;
	}
	buf_done(&scratch);
	return status;
}
