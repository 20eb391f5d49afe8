/* SPDX-License-Identifier: MIT
 *
 * plain_cbor - the rules of DAG-CBOR once more, recursive and as plain as can be
 *
 * Shares no code with src/codec: what one of them accepts the other must accept.
 */
#ifndef TESTS_FUZZ_PLAIN_CBOR_H
#define TESTS_FUZZ_PLAIN_CBOR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct plain {
	const uint8_t *p, *end;
};

/* Code point by code point. */
static bool plain_utf8(const uint8_t *p, uint64_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint64_t i = 0;

	while (i < n) {
		unsigned length = p[i] < 0x80	     ? 1
				  : p[i] >> 5 == 6   ? 2
				  : p[i] >> 4 == 14  ? 3
				  : p[i] >> 3 == 30  ? 4
						     : 0;
		uint32_t c;

		if (length == 0 || n - i < length)
			return false;
		c = length == 1 ? p[i] : p[i] & (0x7fu >> length);
		for (unsigned k = 1; k < length; k++) {
			if (p[i + k] >> 6 != 2)
				return false;
			c = c << 6 | (p[i + k] & 0x3f);
		}
		if ((length > 1 && c < least[length]) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		i += length;
	}
	return true;
}

/* An initial byte's number; false if it is cut, has no definite form or a shorter one. */
static bool plain_number(struct plain *in, unsigned info, uint64_t *ret)
{
	uint64_t v = 0, bound;
	unsigned n;

	if (info < 24) {
		*ret = info;
		return true;
	}
	if (info > 27)
		return false;
	n = 1u << (info - 24);
	if ((size_t)(in->end - in->p) < n)
		return false;
	for (unsigned i = 0; i < n; i++)
		v = v * 256 + *in->p++;
	bound = n == 1 ? 24 : (uint64_t)1 << 4 * n;
	*ret = v;
	return v >= bound;
}

/* Tag 42's content. */
static bool plain_cid(struct plain *in)
{
	static const uint8_t head[] = {0x58, 0x25, 0x00, 0x01};

	if (in->end - in->p < 39 || memcmp(in->p, head, sizeof head) != 0)
		return false;
	if ((in->p[4] != 0x71 && in->p[4] != 0x55) || in->p[5] != 0x12 || in->p[6] != 0x20)
		return false;
	in->p += 39;
	return true;
}

static bool plain_float(struct plain *in)
{
	uint64_t bits = 0;
	double d;

	if (in->end - in->p < 8)
		return false;
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | *in->p++;
	memcpy(&d, &bits, sizeof d);
	return isfinite(d) && bits != (uint64_t)1 << 63;
}

static bool plain_item(struct plain *in, int depth);

static bool plain_map(struct plain *in, uint64_t n, int depth)
{
	const uint8_t *last = NULL;
	uint64_t n_last = 0, n_key;

	for (uint64_t i = 0; i < n; i++) {
		if (in->p == in->end || *in->p >> 5 != 3)
			return false;
		if (!plain_number(in, *in->p++ & 31, &n_key) || n_key > (size_t)(in->end - in->p))
			return false;
		if (!plain_utf8(in->p, n_key))
			return false;
		if (last && (n_key < n_last || (n_key == n_last && memcmp(last, in->p, n_key) >= 0)))
			return false;
		last = in->p;
		n_last = n_key;
		in->p += n_key;
		if (!plain_item(in, depth))
			return false;
	}
	return true;
}

/* One item inside `depth` containers. */
static bool plain_item(struct plain *in, int depth)
{
	unsigned major, info;
	uint64_t n;

	if (in->p == in->end)
		return false;
	major = *in->p >> 5;
	info = *in->p++ & 31;
	if (major == 7)
		return (info >= 20 && info <= 22) || (info == 27 && plain_float(in));
	if (!plain_number(in, info, &n))
		return false;
	if (major == 6)
		return n == 42 && plain_cid(in);
	if (major < 2)
		return true;
	if (major >= 4 && depth == 4096)
		return false;
	if (major == 5)
		return plain_map(in, n, depth + 1);
	for (uint64_t i = 0; major == 4 && i < n; i++)
		if (!plain_item(in, depth + 1))
			return false;
	if (major == 4)
		return true;
	if (n > (size_t)(in->end - in->p) || (major == 3 && !plain_utf8(in->p, n)))
		return false;
	in->p += n;
	return true;
}

/* True if the bytes are exactly one valid item. */
__attribute__((unused)) static bool plain_valid(const uint8_t *p, size_t n)
{
	struct plain in = {p, n ? p + n : p};

	return plain_item(&in, 0) && in.p == in.end;
}

#endif
