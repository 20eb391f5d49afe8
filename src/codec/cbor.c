/* SPDX-License-Identifier: MIT */
#include "codec/cbor.h"

#include "codec/cid.h"

#include <assert.h>
#include <endian.h>
#include <math.h>

/* Major types 0 to 5 are the first members of enum cbor_type in the same order. */
enum { MAJOR_TAG = 6, MAJOR_SIMPLE = 7, TAG_CID = 42 };
static_assert(CBOR_UINT == 0 && CBOR_TEXT == 3 && CBOR_MAP == 5, "majors are types");

/* Levels held on the C stack before cbor_check asks the arena: records rarely go deeper. */
enum { N_FIRST_LEVELS = 16 };

/* One open container of cbor_check. */
struct level {
	uint64_t n_left;  /* items of an array, pairs of a map */
	struct slice key; /* a map's last key; .p is &no_key before the first, NULL in an array */
};

struct checker {
	struct cbor c;
	struct arena *scratch;
	struct level *levels;
	size_t depth, cap;
	struct level first[N_FIRST_LEVELS];
};

static const uint8_t no_key = 0;

static const char *const status_names[N_CBOR_STATUS] = {
	[CBOR_OK] = "ok",
	[CBOR_E_TRUNCATED] = "truncated",
	[CBOR_E_TRAILING] = "trailing bytes",
	[CBOR_E_NOT_SHORTEST] = "number or length not in its shortest form",
	[CBOR_E_INDEFINITE] = "indefinite length",
	[CBOR_E_TAG] = "tag other than 42",
	[CBOR_E_SIMPLE] = "simple value other than false, true, null",
	[CBOR_E_FLOAT] = "float that is not a finite 64-bit one, or negative zero",
	[CBOR_E_KEY_TYPE] = "map key that is not text",
	[CBOR_E_KEY_ORDER] = "map keys not sorted",
	[CBOR_E_KEY_DUPLICATE] = "duplicate map key",
	[CBOR_E_UTF8] = "text that is not UTF-8",
	[CBOR_E_CID] = "bad CID",
	[CBOR_E_DEPTH] = "nested too deep",
	[CBOR_E_END] = "end of input",
	[CBOR_E_TYPE] = "another type",
	[CBOR_E_ABSENT] = "no such key",
};

const char *cbor_status_name(enum cbor_status status)
{
	return (unsigned)status < N_CBOR_STATUS ? status_names[status] : "unknown";
}

/* Eight bytes from p, which need not be aligned. */
static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Length of the multi-byte sequence at p, or 0 if there is no valid one (Unicode, table 3-7). */
static size_t utf8_sequence(const uint8_t *p, size_t n_left)
{
	uint8_t low = 0x80, high = 0xbf;

	if (p[0] < 0xc2 || p[0] > 0xf4 || n_left < 2)
		return 0;
	if (p[0] < 0xe0)
		return is_continuation(p[1]) ? 2 : 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* overlong below */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates above */
	else if (p[0] == 0xf0)
		low = 0x90; /* overlong below */
	else if (p[0] == 0xf4)
		high = 0x8f; /* behind U+10FFFF above */
	if (p[1] < low || p[1] > high || n_left < 3 || !is_continuation(p[2]))
		return 0;
	if (p[0] < 0xf0)
		return 3;
	return n_left >= 4 && is_continuation(p[3]) ? 4 : 0;
}

/* Are n < 8 bytes ASCII? Two loads that may overlap instead of a loop. */
static inline bool is_short_ascii(const uint8_t *p, size_t n)
{
	uint32_t a = 0, b = 0;

	if (n >= 4) {
		memcpy(&a, p, 4);
		memcpy(&b, p + n - 4, 4);
	} else if (n > 0) {
		a = (uint32_t)(p[0] | p[n / 2] | p[n - 1]);
	}
	return !((a | b) & 0x80808080);
}

bool utf8_valid(struct slice s)
{
	size_t i = 0;

	while (i < s.n) {
		size_t n = s.n - i;

		if (n >= 8 && !(load64(s.p + i) & 0x8080808080808080)) {
			i += 8;
			continue;
		}
		if (n < 8 && is_short_ascii(s.p + i, n))
			return true;
		n = s.p[i] < 0x80 ? 1 : utf8_sequence(s.p + i, n);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

/* Reads the number in or behind an initial byte with low five bits `info`; c stands behind it. */
static inline enum cbor_status read_number(struct cbor *c, unsigned info, uint64_t *ret_n)
{
	static const uint64_t min[] = {24, 0x100, 0x10000, 0x100000000};
	size_t n_bytes;
	uint64_t v = 0;

	if (info < 24) {
		*ret_n = info;
		return CBOR_OK;
	}
	if (info > 27) /* 28 to 30 are no form at all */
		return info == 31 ? CBOR_E_INDEFINITE : CBOR_E_NOT_SHORTEST;
	n_bytes = (size_t)1 << (info - 24);
	if ((size_t)(c->end - c->p) < n_bytes)
		return CBOR_E_TRUNCATED;
	for (size_t i = 0; i < n_bytes; i++)
		v = v << 8 | c->p[i];
	if (v < min[info - 24])
		return CBOR_E_NOT_SHORTEST;
	c->p += n_bytes;
	*ret_n = v;
	return CBOR_OK;
}

/* Reads false, true, null or a float; c stands behind the initial byte. */
static enum cbor_status read_simple(struct cbor *c, unsigned info, struct cbor_item *ret_item)
{
	uint64_t bits;
	double d;

	if (info == 20 || info == 21) {
		*ret_item = (struct cbor_item){.type = CBOR_BOOL, .n = info - 20};
		return CBOR_OK;
	}
	if (info == 22) {
		*ret_item = (struct cbor_item){.type = CBOR_NULL};
		return CBOR_OK;
	}
	if (info == 25 || info == 26)
		return CBOR_E_FLOAT;
	if (info != 27)
		return info == 31 ? CBOR_E_INDEFINITE : CBOR_E_SIMPLE;
	if (c->end - c->p < 8)
		return CBOR_E_TRUNCATED;
	bits = be64toh(load64(c->p));
	memcpy(&d, &bits, sizeof d);
	if (!isfinite(d) || (d == 0 && signbit(d)))
		return CBOR_E_FLOAT;
	c->p += 8;
	*ret_item = (struct cbor_item){.type = CBOR_FLOAT, .d = d};
	return CBOR_OK;
}

/* Reads the byte string behind a tag 42: 0x00 and a CID. */
static enum cbor_status read_cid(struct cbor *c, struct cbor_item *ret_item)
{
	struct cid cid;
	struct slice s;
	uint64_t n;
	enum cbor_status r;

	if (c->p == c->end)
		return CBOR_E_TRUNCATED;
	if (*c->p >> 5 != CBOR_BYTES)
		return CBOR_E_CID;
	r = read_number(c, *c->p++ & 31, &n);
	if (r)
		return r;
	if (n != CID_BYTES + 1)
		return CBOR_E_CID;
	if ((size_t)(c->end - c->p) < n)
		return CBOR_E_TRUNCATED;
	s = slice_of(c->p + 1, CID_BYTES);
	if (*c->p != 0 || !cid_from_bytes(s, &cid))
		return CBOR_E_CID;
	c->p += n;
	*ret_item = (struct cbor_item){.type = CBOR_CID, .s = s};
	return CBOR_OK;
}

/* Reads one item head from c, which moves on; after an error c is anywhere within its bytes. Inlined, so that
 * who only skips does not fill in what it does not look at. */
static inline __attribute__((always_inline)) enum cbor_status read_item(
	struct cbor *c, bool check_text, struct cbor_item *ret_item)
{
	unsigned first, major;
	uint64_t n, n_bytes_left;
	enum cbor_status r;

	if (c->p == c->end)
		return CBOR_E_END;
	first = *c->p++;
	major = first >> 5;
	if (major == MAJOR_SIMPLE)
		return read_simple(c, first & 31, ret_item);
	r = read_number(c, first & 31, &n);
	if (r)
		return r;
	if (major == MAJOR_TAG)
		return n == TAG_CID ? read_cid(c, ret_item) : CBOR_E_TAG;
	*ret_item = (struct cbor_item){.type = (enum cbor_type)major, .n = n};
	if (major <= CBOR_NINT)
		return CBOR_OK;
	/* An item takes a byte at least: what cannot fit is refused before anybody counts on it. */
	n_bytes_left = (uint64_t)(c->end - c->p);
	if (n > (major == CBOR_MAP ? n_bytes_left / 2 : n_bytes_left))
		return CBOR_E_TRUNCATED;
	if (major >= CBOR_ARRAY)
		return CBOR_OK;
	ret_item->s = slice_of(c->p, n);
	if (major == CBOR_TEXT && check_text && !utf8_valid(ret_item->s))
		return CBOR_E_UTF8;
	c->p += n;
	return CBOR_OK;
}

enum cbor_status cbor_next(struct cbor *c, struct cbor_item *ret_item)
{
	struct cbor at = *c;
	enum cbor_status r = read_item(&at, true, ret_item);

	if (r == CBOR_OK)
		*c = at;
	return r;
}

enum cbor_status cbor_key(struct cbor *c, struct slice *ret_key)
{
	struct cbor at = *c;
	struct cbor_item item;
	enum cbor_status r = read_item(&at, false, &item);

	if (r)
		return r;
	if (item.type != CBOR_TEXT)
		return CBOR_E_KEY_TYPE;
	*ret_key = item.s;
	*c = at;
	return CBOR_OK;
}

enum cbor_status cbor_skip(struct cbor *c)
{
	struct cbor at = *c;
	uint64_t n_left = 1;

	if (at.p == at.end)
		return CBOR_E_END;
	while (n_left > 0) {
		struct cbor_item item;
		enum cbor_status r = read_item(&at, false, &item);

		if (r)
			return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
		n_left--;
		if (item.type == CBOR_ARRAY)
			n_left += item.n;
		else if (item.type == CBOR_MAP)
			n_left += item.n * 2;
		/* also keeps the sum from overflowing */
		if (n_left > (uint64_t)(at.end - at.p))
			return CBOR_E_TRUNCATED;
	}
	*c = at;
	return CBOR_OK;
}

/* Reads the next key of the innermost map and holds it against the one before. */
static inline enum cbor_status check_key(struct checker *k)
{
	struct slice *last = &k->levels[k->depth - 1].key;
	struct cbor_item item;
	enum cbor_status r = read_item(&k->c, true, &item);
	int order;

	if (r)
		return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
	if (item.type != CBOR_TEXT)
		return CBOR_E_KEY_TYPE;
	if (last->p != &no_key && item.s.n <= last->n) {
		if (item.s.n < last->n)
			return CBOR_E_KEY_ORDER;
		order = memcmp(item.s.p, last->p, item.s.n);
		if (order <= 0)
			return order ? CBOR_E_KEY_ORDER : CBOR_E_KEY_DUPLICATE;
	}
	*last = item.s;
	return CBOR_OK;
}

/* Opens a container with n > 0 members. */
static inline void push(struct checker *k, const struct cbor_item *item)
{
	if (k->depth == k->cap) {
		struct level *more = arena_alloc(k->scratch, 2 * k->cap * sizeof *more);

		memcpy(more, k->levels, k->cap * sizeof *more);
		k->levels = more;
		k->cap *= 2;
	}
	k->levels[k->depth++] = (struct level){
		.n_left = item->n,
		.key = {item->type == CBOR_MAP ? &no_key : NULL, 0},
	};
}

/* Walks one whole item, from its head until every container is closed again. */
static enum cbor_status check_item(struct checker *k)
{
	struct cbor_item item;
	enum cbor_status r;

	for (;;) {
		if (k->depth > 0 && k->levels[k->depth - 1].key.p) {
			r = check_key(k);
			if (r)
				return r;
		}
		r = read_item(&k->c, true, &item);
		if (r)
			return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
		if (item.type == CBOR_ARRAY || item.type == CBOR_MAP) {
			if (k->depth == CBOR_MAX_DEPTH)
				return CBOR_E_DEPTH;
			if (item.n > 0) {
				push(k, &item);
				continue;
			}
		}
		while (k->depth > 0 && --k->levels[k->depth - 1].n_left == 0)
			k->depth--;
		if (k->depth == 0)
			return CBOR_OK;
	}
}

enum cbor_status cbor_check_first(struct slice s, struct arena *scratch, size_t *ret_n_bytes)
{
	struct checker k;
	enum cbor_status r;

	k.c = cbor_over(s);
	k.scratch = scratch;
	k.levels = k.first;
	k.depth = 0;
	k.cap = N_FIRST_LEVELS;
	r = check_item(&k);
	if (r == CBOR_OK)
		*ret_n_bytes = (size_t)(k.c.p - s.p);
	return r;
}

enum cbor_status cbor_check(struct slice s, struct arena *scratch)
{
	size_t n_bytes = 0;
	enum cbor_status r = cbor_check_first(s, scratch, &n_bytes);

	if (r)
		return r;
	return n_bytes == s.n ? CBOR_OK : CBOR_E_TRAILING;
}

/* cbor_find for a key that need not end in a NUL. */
static enum cbor_status find_key(struct slice map, struct slice key, struct cbor *ret_value)
{
	struct cbor c = cbor_over(map);
	struct cbor_item item;
	enum cbor_status r = read_item(&c, false, &item);
	uint64_t n_left;

	if (r)
		return r == CBOR_E_END ? CBOR_E_ABSENT : r;
	if (item.type != CBOR_MAP)
		return CBOR_E_ABSENT;
	for (n_left = item.n; n_left > 0; n_left--) {
		r = read_item(&c, false, &item);
		if (r)
			return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
		if (item.type != CBOR_TEXT)
			return CBOR_E_KEY_TYPE;
		if (item.s.n > key.n) /* sorted by length: it cannot follow */
			return CBOR_E_ABSENT;
		if (slice_eq(item.s, key)) {
			*ret_value = c;
			return CBOR_OK;
		}
		r = cbor_skip(&c);
		if (r)
			return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
	}
	return CBOR_E_ABSENT;
}

enum cbor_status cbor_find(struct slice map, const char *key, struct cbor *ret_value)
{
	return find_key(map, slice_str(key), ret_value);
}

enum cbor_status cbor_path(
	struct slice map, const char *path, struct cbor_item *ret_item, struct slice *ret_bytes)
{
	struct cbor c = cbor_over(map), after;
	const char *key = path;
	enum cbor_status r;

	for (;;) {
		size_t n = strcspn(key, ".");

		r = find_key(slice_of(c.p, (size_t)(c.end - c.p)), slice_of(key, n), &c);
		if (r)
			return r;
		if (!key[n])
			break;
		key += n + 1;
	}
	after = c;
	if (ret_bytes) {
		r = cbor_skip(&after);
		if (r)
			return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
		*ret_bytes = slice_of(c.p, (size_t)(after.p - c.p));
	}
	r = cbor_next(&c, ret_item);
	return r == CBOR_E_END ? CBOR_E_TRUNCATED : r;
}
