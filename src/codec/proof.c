/* SPDX-License-Identifier: MIT */
#include "codec/proof_private.h"

#include "codec/cbor.h"

enum {
	MAX_LAYER = 128, /* SHA-256 has 256 bits, a layer is two of them */
	FIRST_CAP = 64,
};

/* A node that is being read. */
struct open_node {
	struct cbor entries;
	uint64_t n_left;
	uint8_t layer;
	struct slice key; /* the last one read; no bytes before the first */
};

/* One walk over the nodes. */
struct walk {
	struct proof *proof;
	const struct blocks *blocks;
	struct slice last_key; /* of the last leaf, in whatever node */
	struct open_node stack[MAX_LAYER + 1];
	size_t depth;
	size_t n_opened;
};

/* The members of one entry. */
struct entry {
	struct slice suffix;
	uint64_t n_shared;
	bool has_tree;
	struct cid tree, value;
};

const char *proof_status_name(enum proof_status status)
{
	static const char *const names[N_PROOF_STATUS] = {
		[PROOF_OK] = "ok",
		[PROOF_ABSENT] = "absent",
		[PROOF_E_MISSING] = "a node is missing",
		[PROOF_E_UNSOUND] = "a node does not hash to its CID",
		[PROOF_E_NODE] = "a node is malformed",
		[PROOF_E_ORDER] = "keys are out of order",
		[PROOF_E_PREFIX] = "a key is not compressed as it must be",
		[PROOF_E_LAYER] = "a key or subtree is at the wrong layer",
	};

	return (unsigned)status < N_PROOF_STATUS ? names[status] : "unknown";
}

uint8_t proof_layer(struct slice key)
{
	uint8_t digest[CID_DIGEST];
	unsigned n_zeros = 0;

	sha256(key, digest);
	for (size_t i = 0; i < sizeof digest; i++, n_zeros += 8)
		if (digest[i]) {
			n_zeros += (unsigned)__builtin_clz(digest[i]) - 24;
			break;
		}
	return (uint8_t)(n_zeros / 2);
}

/* ---- reading ---- */

static struct proof_item *insert(struct proof *p, size_t at)
{
	if (p->n == p->cap) {
		struct proof_item *more;

		p->cap = p->cap ? p->cap * 2 : FIRST_CAP;
		more = arena_alloc(p->arena, p->cap * sizeof *more);
		if (p->n)
			memcpy(more, p->items, p->n * sizeof *more);
		p->items = more;
	}
	if (at < p->n)
		memmove(p->items + at + 1, p->items + at, (p->n - at) * sizeof *p->items);
	p->n++;
	p->items[at] = (struct proof_item){ 0 };
	return &p->items[at];
}

/* The next item is text and says `name`. */
static bool take_name(struct cbor *c, const char *name)
{
	struct cbor_item item;

	return !cbor_next(c, &item) && item.type == CBOR_TEXT && slice_is(item.s, name);
}

/* The next item is a dag-cbor CID, or null where allowed (then *ret_set is false). */
static bool take_link(struct cbor *c, struct cid *ret, bool *ret_set)
{
	struct cbor_item item;

	if (cbor_next(c, &item))
		return false;
	*ret_set = item.type == CBOR_CID;
	if (!*ret_set)
		return item.type == CBOR_NULL;
	return cid_from_bytes(item.s, ret) && ret->codec == CID_DAG_CBOR;
}

/* {k, p, t, v}, and nothing else. */
static bool take_entry(struct cbor *c, struct entry *e)
{
	struct cbor_item item;
	bool has_value;

	if (cbor_next(c, &item) || item.type != CBOR_MAP || item.n != 4)
		return false;
	if (!take_name(c, "k") || cbor_next(c, &item) || item.type != CBOR_BYTES)
		return false;
	e->suffix = item.s;
	if (!take_name(c, "p") || cbor_next(c, &item) || item.type != CBOR_UINT)
		return false;
	e->n_shared = item.n;
	return take_name(c, "t") && take_link(c, &e->tree, &e->has_tree) && take_name(c, "v") &&
		take_link(c, &e->value, &has_value) && has_value;
}

/* {e, l}: entries begins at the first entry. */
static bool take_node(struct slice block, struct arena *scratch, struct cbor *ret_entries, uint64_t *ret_n,
	struct cid *ret_left, bool *ret_has_left)
{
	struct cbor c = cbor_over(block);
	struct cbor_item item;

	if (cbor_check(block, scratch) || cbor_next(&c, &item) || item.type != CBOR_MAP || item.n != 2)
		return false;
	if (!take_name(&c, "e"))
		return false;
	*ret_entries = c;
	if (cbor_skip(&c) || !take_name(&c, "l") || !take_link(&c, ret_left, ret_has_left))
		return false;
	if (cbor_next(ret_entries, &item) || item.type != CBOR_ARRAY)
		return false;
	*ret_n = item.n;
	return true;
}

/* The layer of a root is that of its first key. */
static enum proof_status root_layer(struct cbor entries, uint8_t *ret)
{
	struct entry e;

	if (!take_entry(&entries, &e) || e.n_shared)
		return PROOF_E_NODE;
	*ret = proof_layer(e.suffix);
	return PROOF_OK;
}

/* Pushes the node of that digest, or adds a stub for it, and so on down its left edge. */
static enum proof_status descend(struct walk *w, const uint8_t digest[CID_DIGEST], int layer)
{
	const uint8_t *next = digest;
	struct cid left;

	for (bool has_left = true; has_left; next = left.digest, layer--) {
		struct open_node *node = &w->stack[w->depth];
		struct slice block;
		enum block_status found = blocks_find(w->blocks, next, &block);

		if (layer < 0)
			return PROOF_E_LAYER;
		if (found == BLOCK_UNSOUND)
			return PROOF_E_UNSOUND;
		if (found == BLOCK_ABSENT) {
			struct proof_item *stub = insert(w->proof, w->proof->n);

			stub->layer = (uint8_t)layer;
			memcpy(stub->digest, next, CID_DIGEST);
			return PROOF_OK;
		}
		if (w->n_opened++ == w->blocks->n)
			return PROOF_E_ORDER;
		*node = (struct open_node){ .layer = (uint8_t)layer };
		if (!take_node(block, w->proof->arena, &node->entries, &node->n_left, &left, &has_left))
			return PROOF_E_NODE;
		if (!node->n_left && !has_left)
			return PROOF_E_LAYER; /* a node over nothing */
		w->depth++;
	}
	return PROOF_OK;
}

/* The whole key of an entry, in the arena. */
static enum proof_status key_of(struct walk *w, const struct open_node *node, const struct entry *e, struct slice *ret)
{
	size_t n_common = 0;
	uint8_t *key;

	if (e->n_shared > node->key.n || e->n_shared + e->suffix.n > PROOF_MAX_KEY || e->suffix.n == 0)
		return PROOF_E_NODE;
	*ret = e->suffix;
	if (e->n_shared) {
		key = arena_alloc(w->proof->arena, e->n_shared + e->suffix.n);
		memcpy(key, node->key.p, e->n_shared);
		memcpy(key + e->n_shared, e->suffix.p, e->suffix.n);
		*ret = slice_of(key, e->n_shared + e->suffix.n);
	}
	while (n_common < ret->n && n_common < node->key.n && ret->p[n_common] == node->key.p[n_common])
		n_common++;
	if (n_common != e->n_shared)
		return PROOF_E_PREFIX;
	if (w->last_key.n && slice_cmp(w->last_key, *ret) >= 0)
		return PROOF_E_ORDER;
	return proof_layer(*ret) == node->layer ? PROOF_OK : PROOF_E_LAYER;
}

/* The next leaf of the innermost node, and the subtree behind it. */
static enum proof_status read_leaf(struct walk *w)
{
	struct open_node *node = &w->stack[w->depth - 1];
	enum proof_status status;
	struct proof_item *leaf;
	struct slice key;
	struct entry e;

	node->n_left--;
	if (!take_entry(&node->entries, &e))
		return PROOF_E_NODE;
	status = key_of(w, node, &e, &key);
	if (status)
		return status;
	node->key = w->last_key = key;
	leaf = insert(w->proof, w->proof->n);
	leaf->key = node->key;
	leaf->layer = node->layer;
	memcpy(leaf->digest, e.value.digest, CID_DIGEST);
	return e.has_tree ? descend(w, e.tree.digest, node->layer - 1) : PROOF_OK;
}

/* Opens the root; an empty tree is one node over nothing. */
static enum proof_status open_root(struct walk *w, const uint8_t root[CID_DIGEST], bool *ret_empty)
{
	struct slice block;
	enum block_status found = blocks_find(w->blocks, root, &block);
	enum proof_status status;
	struct cbor entries;
	struct cid left;
	uint64_t n;
	bool has_left;
	uint8_t layer;

	if (found)
		return found == BLOCK_ABSENT ? PROOF_E_MISSING : PROOF_E_UNSOUND;
	if (!take_node(block, w->proof->arena, &entries, &n, &left, &has_left))
		return PROOF_E_NODE;
	*ret_empty = !n && !has_left;
	if (*ret_empty)
		return PROOF_OK;
	if (!n)
		return PROOF_E_LAYER; /* the root must be where its highest key is */
	status = root_layer(entries, &layer);
	return status ? status : descend(w, root, layer);
}

enum proof_status proof_open(
	struct proof *p, const struct blocks *blocks, const uint8_t root[CID_DIGEST], struct arena *arena)
{
	struct walk w = { .proof = p, .blocks = blocks };
	enum proof_status status;
	bool empty;

	*p = (struct proof){ .arena = arena };
	status = open_root(&w, root, &empty);
	while (!status && w.depth) {
		if (w.stack[w.depth - 1].n_left)
			status = read_leaf(&w);
		else
			w.depth--;
	}
	return status;
}

/* ---- changing ---- */

/* Where the key is, or where the first greater one is; stubs have no key and are stepped over to the left. */
static bool locate(const struct proof *p, struct slice key, size_t *ret_at)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2, at = mid;
		int order;

		while (at > lo && !p->items[at].key.p)
			at--;
		if (!p->items[at].key.p) { /* only stubs from lo to mid */
			lo = mid + 1;
			continue;
		}
		order = slice_cmp(p->items[at].key, key);
		if (order == 0) {
			*ret_at = at;
			return true;
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = at;
	}
	*ret_at = lo;
	return false;
}

/* Is the place before items[at], which begins behind the leaf before it, free of stubs? */
static bool place_known(const struct proof *p, size_t at)
{
	return (at == 0 || p->items[at - 1].key.p) && (at == p->n || p->items[at].key.p);
}

enum proof_status proof_find(const struct proof *p, struct slice key, uint8_t ret_value[CID_DIGEST])
{
	size_t at;

	if (!locate(p, key, &at))
		return place_known(p, at) ? PROOF_ABSENT : PROOF_E_MISSING;
	if (p->items[at].removed)
		return PROOF_ABSENT;
	memcpy(ret_value, p->items[at].digest, CID_DIGEST);
	return PROOF_OK;
}

enum proof_status proof_set(struct proof *p, struct slice key, const uint8_t *value)
{
	struct proof_item *item;
	size_t at;

	if (locate(p, key, &at)) {
		item = &p->items[at];
	} else if (!place_known(p, at)) {
		return PROOF_E_MISSING;
	} else if (!value) {
		return PROOF_OK;
	} else {
		item = insert(p, at);
		item->key = key;
		item->layer = proof_layer(key);
	}
	item->removed = !value;
	if (value)
		memcpy(item->digest, value, CID_DIGEST);
	return PROOF_OK;
}
