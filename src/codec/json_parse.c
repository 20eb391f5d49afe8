/* SPDX-License-Identifier: MIT */
#include "codec/cbor.h"
#include "codec/cid.h"
#include "codec/json.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* Initial bytes of each major type. */
enum {
	HEAD_UINT = 0x00,
	HEAD_NINT = 0x20,
	HEAD_BYTES = 0x40,
	HEAD_TEXT = 0x60,
	HEAD_ARRAY = 0x80,
	HEAD_MAP = 0xa0,
	FALSE_BYTE = 0xf4,
	TRUE_BYTE = 0xf5,
	NULL_BYTE = 0xf6
};

/* Tag 42, then a byte string of 37 bytes whose first one is zero. */
static const uint8_t cid_head[] = {0xd8, 0x2a, 0x58, 0x25, 0x00};

/* One value of a container; key is unused in arrays. */
struct member {
	struct slice key;
	json_t *value;
};

/* A container whose members are being written. */
struct level {
	struct level *up;
	struct member *members;
	size_t i, n;
	bool is_map;
};

struct parser {
	struct arena *scratch;
	struct buf *out;
	struct level *top;
	size_t depth;
};

/* Appends an initial byte with n in its shortest form. */
static void put_head(struct buf *out, uint8_t head, uint64_t n)
{
	if (n < 24) {
		buf_u8(out, (uint8_t)(head | n));
	} else if (n <= UINT8_MAX) {
		buf_u8(out, head | 24);
		buf_u8(out, (uint8_t)n);
	} else if (n <= UINT16_MAX) {
		buf_u8(out, head | 25);
		buf_be16(out, (uint16_t)n);
	} else if (n <= UINT32_MAX) {
		buf_u8(out, head | 26);
		buf_be32(out, (uint32_t)n);
	} else {
		buf_u8(out, head | 27);
		buf_be64(out, n);
	}
}

static void put_text(struct buf *out, struct slice s)
{
	put_head(out, HEAD_TEXT, s.n);
	buf_add_slice(out, s);
}

static void put_integer(struct buf *out, int64_t n)
{
	if (n >= 0)
		put_head(out, HEAD_UINT, (uint64_t)n);
	else
		put_head(out, HEAD_NINT, ~(uint64_t)n);
}

/* Appends a number written with a point or exponent, if it is an integer all the same (123.0). */
static enum json_status put_real(struct buf *out, double d)
{
	const double max = 9007199254740992; /* 2^53: above it a double is several integers */

	if (!(fabs(d) <= max) || d != trunc(d))
		return JSON_E_SYNTAX;
	put_integer(out, (int64_t)d);
	return JSON_OK;
}

static struct slice text_of(const json_t *string)
{
	return slice_of(json_string_value(string), json_string_length(string));
}

/* Value of a base64 digit, or negative. */
static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Appends the bytes of base64 text, padded or not. */
static enum json_status put_bytes(struct buf *out, struct slice text)
{
	size_t n_digits = text.n;
	uint32_t bits = 0, n_bits = 0;

	if (text.n > 0 && text.n % 4 == 0)
		for (int i = 0; i < 2 && text.p[n_digits - 1] == '='; i++)
			n_digits--;
	if (n_digits % 4 == 1)
		return JSON_E_SYNTAX;
	put_head(out, HEAD_BYTES, n_digits / 4 * 3 + n_digits % 4 * 3 / 4);
	for (size_t i = 0; i < n_digits; i++) {
		int v = base64_value(text.p[i]);

		if (v < 0)
			return JSON_E_SYNTAX;
		bits = (bits << 6 | (uint32_t)v) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			buf_u8(out, (uint8_t)(bits >> n_bits));
		}
	}
	/* bits of the last digit that belong to no byte: one text per value */
	return bits & ((1U << n_bits) - 1) ? JSON_E_SYNTAX : JSON_OK;
}

static enum json_status put_cid(struct buf *out, struct slice text)
{
	struct cid cid;

	if (!cid_from_text(text, &cid))
		return JSON_E_SYNTAX;
	buf_add(out, cid_head, sizeof cid_head);
	cid_to_bytes(&cid, buf_room(out, CID_BYTES));
	out->n += CID_BYTES;
	return JSON_OK;
}

/* The order DAG-CBOR wants: shorter keys first, then bytewise. */
static int compare_members(const void *left, const void *right)
{
	const struct member *a = left, *b = right;

	if (a->key.n != b->key.n)
		return a->key.n < b->key.n ? -1 : 1;
	return slice_cmp(a->key, b->key);
}

/* The members of an object in DAG-CBOR's order. */
static struct member *sorted_members(struct arena *scratch, json_t *object, size_t n)
{
	struct member *members = arena_zalloc(scratch, n, sizeof *members);
	size_t i = 0;

	for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
		assert(i < n);
		members[i++] = (struct member){
			.key = slice_of(json_object_iter_key(at), json_object_iter_key_len(at)),
			.value = json_object_iter_value(at),
		};
	}
	qsort(members, n, sizeof *members, compare_members);
	return members;
}

static struct member *array_members(struct arena *scratch, json_t *array, size_t n)
{
	struct member *members = arena_zalloc(scratch, n, sizeof *members);

	for (size_t i = 0; i < n; i++)
		members[i].value = json_array_get(array, i);
	return members;
}

/* Writes a container's head and makes it the innermost one. */
static enum json_status open_container(struct parser *p, json_t *value)
{
	bool is_map = json_is_object(value);
	size_t n = is_map ? json_object_size(value) : json_array_size(value);
	struct level *level;

	if (p->depth == JSON_MAX_DEPTH)
		return JSON_E_DEPTH;
	put_head(p->out, is_map ? HEAD_MAP : HEAD_ARRAY, n);
	level = arena_alloc(p->scratch, sizeof *level);
	*level = (struct level){.up = p->top, .n = n, .is_map = is_map};
	level->members =
		is_map ? sorted_members(p->scratch, value, n) : array_members(p->scratch, value, n);
	p->top = level;
	p->depth++;
	return JSON_OK;
}

/* Writes an object: a CID, bytes, or the opening of a map. */
static enum json_status put_object(struct parser *p, json_t *object)
{
	const json_t *link = json_object_get(object, "$link");
	const json_t *bytes = json_object_get(object, "$bytes");
	const json_t *text = link ? link : bytes;

	if (!text)
		return open_container(p, object);
	if (json_object_size(object) != 1 || !json_is_string(text))
		return JSON_E_SYNTAX;
	return link ? put_cid(p->out, text_of(text)) : put_bytes(p->out, text_of(text));
}

/* Writes one value, of a container only what opens it. */
static enum json_status put_value(struct parser *p, json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return put_object(p, value);
	case JSON_ARRAY:
		return open_container(p, value);
	case JSON_STRING:
		put_text(p->out, text_of(value));
		return JSON_OK;
	case JSON_INTEGER:
		put_integer(p->out, json_integer_value(value));
		return JSON_OK;
	case JSON_REAL:
		return put_real(p->out, json_real_value(value));
	case JSON_TRUE:
		buf_u8(p->out, TRUE_BYTE);
		return JSON_OK;
	case JSON_FALSE:
		buf_u8(p->out, FALSE_BYTE);
		return JSON_OK;
	case JSON_NULL:
		buf_u8(p->out, NULL_BYTE);
		return JSON_OK;
	}
	return JSON_E_SYNTAX;
}

/* Writes a parsed value with everything in it. */
static enum json_status put_tree(struct parser *p, json_t *root)
{
	enum json_status r = put_value(p, root);

	while (r == JSON_OK && p->top) {
		struct level *level = p->top;
		const struct member *member;

		if (level->i == level->n) {
			p->top = level->up;
			p->depth--;
			continue;
		}
		member = &level->members[level->i++];
		if (level->is_map)
			put_text(p->out, member->key);
		r = put_value(p, member->value);
	}
	return r;
}

enum json_status json_to_cbor(struct slice json, struct arena *scratch, struct buf *out)
{
	const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
	struct parser p = {.scratch = scratch, .out = out};
	size_t n_before = out->n;
	enum json_status r;
	json_error_t error;
	json_t *root;

	root = json_loadb((const char *)json.p, json.n, flags, &error);
	if (!root)
		return json_error_code(&error) == json_error_stack_overflow ? JSON_E_DEPTH
									    : JSON_E_SYNTAX;
	r = put_tree(&p, root);
	json_decref(root);
	if (r)
		out->n = n_before;
	return r;
}
