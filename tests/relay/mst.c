/* SPDX-License-Identifier: MIT */
#include "mst.h"
#include "cbor_write.h"

#include <assert.h>
#include <stdlib.h>

/* The digest of one node, kept at its first leaf. */
struct mst_node {
	struct mst_node *next;
	uint8_t layer;
	uint8_t digest[CID_DIGEST];
};

uint8_t mst_layer(struct slice key)
{
	uint8_t digest[CID_DIGEST];
	unsigned n_zeros = 0;

	sha256(key, digest);
	for (size_t i = 0; i < sizeof digest; i++) {
		if (digest[i]) {
			n_zeros += (unsigned)__builtin_clz(digest[i]) - 24;
			break;
		}
		n_zeros += 8;
	}
	return (uint8_t)(n_zeros / 2);
}

struct mst_leaf *mst_find(const struct mst *mst, const char *key, size_t *ret_index)
{
	size_t lo = 0, hi = mst->n;
	int order = 1;

	while (lo < hi && order) {
		size_t mid = lo + (hi - lo) / 2;

		order = strcmp(mst->leaves[mid]->key, key);
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
		if (!order)
			lo = mid;
	}
	if (ret_index)
		*ret_index = lo;
	return order ? NULL : mst->leaves[lo];
}

static const struct mst_node *known_node(const struct mst_leaf *leaf, unsigned layer)
{
	const struct mst_node *node = leaf->nodes;

	while (node && node->layer != layer)
		node = node->next;
	return node;
}

/* Forgets one node that begins with this leaf. */
static void forget(struct mst_leaf *leaf, unsigned layer)
{
	for (struct mst_node **at = &leaf->nodes; *at; at = &(*at)->next) {
		struct mst_node *node = *at;

		if (node->layer != layer)
			continue;
		*at = node->next;
		free(node);
		return;
	}
}

static void forget_all(struct mst_leaf *leaf)
{
	while (leaf->nodes)
		forget(leaf, leaf->nodes->layer);
}

/* Forgets every node that contains or borders on the place of a key: at each layer the one that
 * reaches there from the left (it begins where a higher key ends), and those that begin at or right
 * behind it. */
static void touch(struct mst *mst, size_t index, bool present)
{
	size_t lo = index;

	if (index < mst->n)
		forget_all(mst->leaves[index]);
	if (present && index + 1 < mst->n)
		forget_all(mst->leaves[index + 1]);
	for (unsigned layer = 0; layer <= mst->top; layer++) {
		while (lo > 0 && mst->layers[lo - 1] <= layer)
			lo--;
		if (lo < index)
			forget(mst->leaves[lo], layer);
	}
}

static struct mst_leaf *leaf_new(const char *key)
{
	size_t n_key = strlen(key);
	struct mst_leaf *leaf = calloc(1, sizeof *leaf + n_key + 1);

	assert(n_key <= UINT16_MAX);
	if (!leaf)
		abort();
	leaf->n_key = (uint16_t)n_key;
	memcpy(leaf->key, key, n_key + 1);
	return leaf;
}

static void leaf_free(struct mst_leaf *leaf)
{
	forget_all(leaf);
	free(leaf->block);
	free(leaf);
}

/* Makes room at an index. */
static void open_gap(struct mst *mst, size_t index)
{
	if (mst->n == mst->cap) {
		mst->cap = mst->cap ? mst->cap * 2 : 8;
		mst->leaves = realloc(mst->leaves, mst->cap * sizeof *mst->leaves);
		mst->layers = realloc(mst->layers, mst->cap);
		if (!mst->leaves || !mst->layers)
			abort();
	}
	memmove(mst->leaves + index + 1, mst->leaves + index,
		(mst->n - index) * sizeof *mst->leaves);
	memmove(mst->layers + index + 1, mst->layers + index, mst->n - index);
	mst->n++;
}

struct mst_leaf *mst_put(struct mst *mst, const char *key, const uint8_t value[CID_DIGEST])
{
	size_t index;
	struct mst_leaf *leaf = mst_find(mst, key, &index);

	touch(mst, index, leaf != NULL);
	if (!leaf) {
		leaf = leaf_new(key);
		open_gap(mst, index);
		mst->leaves[index] = leaf;
		mst->layers[index] = mst_layer(slice_str(key));
		if (mst->layers[index] > mst->top)
			mst->top = mst->layers[index];
	}
	memcpy(leaf->value, value, CID_DIGEST);
	return leaf;
}

void mst_delete(struct mst *mst, const char *key)
{
	size_t index;
	struct mst_leaf *leaf = mst_find(mst, key, &index);

	assert(leaf);
	touch(mst, index, true);
	leaf_free(leaf);
	mst->n--;
	memmove(mst->leaves + index, mst->leaves + index + 1,
		(mst->n - index) * sizeof *mst->leaves);
	memmove(mst->layers + index, mst->layers + index + 1, mst->n - index);
	mst->top = 0;
	for (size_t i = 0; i < mst->n; i++)
		if (mst->layers[i] > mst->top)
			mst->top = mst->layers[i];
}

/* A link to the subtree that begins at `lo` one layer down, or null if there is none before `hi`.
 */
static void write_subtree(
	struct buf *out, const struct mst *mst, size_t lo, size_t hi, unsigned layer)
{
	if (lo < hi && mst->layers[lo] < layer)
		cbor_write_cid(out, CID_DAG_CBOR, known_node(mst->leaves[lo], layer - 1)->digest);
	else
		cbor_write_null(out);
}

size_t mst_common_prefix(struct slice a, struct slice b)
{
	size_t n = 0;

	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	return n;
}

static struct slice leaf_key(const struct mst_leaf *leaf)
{
	return slice_of(leaf->key, leaf->n_key);
}

/* The node over the leaves [lo, hi) at a layer; its children are known. */
static void write_node(struct buf *out, const struct mst *mst, size_t lo, size_t hi, unsigned layer)
{
	const struct mst_leaf *before = NULL;
	size_t n = 0;

	for (size_t i = lo; i < hi; i++)
		n += mst->layers[i] == layer;
	cbor_write_map(out, 2);
	cbor_write_str(out, "e");
	cbor_write_array(out, n);
	for (size_t i = lo; i < hi; i++) {
		const struct mst_leaf *leaf = mst->leaves[i];
		size_t n_shared;

		if (mst->layers[i] != layer)
			continue;
		n_shared = before ? mst_common_prefix(leaf_key(before), leaf_key(leaf)) : 0;
		before = leaf;
		cbor_write_map(out, 4);
		cbor_write_str(out, "k");
		cbor_write_bytes(out, slice_of(leaf->key + n_shared, leaf->n_key - n_shared));
		cbor_write_str(out, "p");
		cbor_write_uint(out, n_shared);
		cbor_write_str(out, "t");
		write_subtree(out, mst, i + 1, hi, layer);
		cbor_write_str(out, "v");
		cbor_write_cid(out, CID_DAG_CBOR, leaf->value);
	}
	cbor_write_str(out, "l");
	write_subtree(out, mst, lo, hi, layer);
}

/* Computes one node that is missing. */
static void compute(struct mst *mst, size_t lo, size_t hi, unsigned layer, struct buf *scratch,
	mst_emit *emit, void *ctx)
{
	struct mst_node *node = calloc(1, sizeof *node);

	if (!node)
		abort();
	buf_reset(scratch);
	write_node(scratch, mst, lo, hi, layer);
	sha256(buf_slice(scratch), node->digest);
	node->layer = (uint8_t)layer;
	node->next = mst->leaves[lo]->nodes;
	mst->leaves[lo]->nodes = node;
	if (emit)
		emit(ctx, node->digest, buf_slice(scratch));
}

/* Computes what is missing at one layer: each longest run of leaves no higher than it is a node. */
static void compute_layer(
	struct mst *mst, unsigned layer, struct buf *scratch, mst_emit *emit, void *ctx)
{
	size_t hi;

	for (size_t lo = 0; lo < mst->n; lo = hi + 1) {
		hi = lo;
		while (hi < mst->n && mst->layers[hi] <= layer)
			hi++;
		if (hi > lo && !known_node(mst->leaves[lo], layer))
			compute(mst, lo, hi, layer, scratch, emit, ctx);
	}
}

void mst_root(struct mst *mst, uint8_t ret_digest[CID_DIGEST], mst_emit *emit, void *ctx)
{
	struct buf scratch = BUF_INIT;

	if (mst->n) {
		for (unsigned layer = 0; layer <= mst->top; layer++)
			compute_layer(mst, layer, &scratch, emit, ctx);
		memcpy(ret_digest, known_node(mst->leaves[0], mst->top)->digest, CID_DIGEST);
	} else {
		write_node(&scratch, mst, 0, 0, 0);
		sha256(buf_slice(&scratch), ret_digest);
		if (emit)
			emit(ctx, ret_digest, buf_slice(&scratch));
	}
	buf_done(&scratch);
}

void mst_leaf_keep(struct mst_leaf *leaf, struct slice block)
{
	free(leaf->block);
	leaf->block = malloc(block.n ? block.n : 1);
	if (!leaf->block || block.n > UINT32_MAX)
		abort();
	memcpy(leaf->block, block.p, block.n);
	leaf->n_block = (uint32_t)block.n;
}

void mst_done(struct mst *mst)
{
	for (size_t i = 0; i < mst->n; i++)
		leaf_free(mst->leaves[i]);
	free(mst->leaves);
	free(mst->layers);
	*mst = (struct mst){0};
}
