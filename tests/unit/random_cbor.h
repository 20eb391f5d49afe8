/* SPDX-License-Identifier: MIT
 *
 * random_cbor - random values that are valid DAG-CBOR
 *
 * Shares no code with src/codec, so that tests hold two writers against each other. The same seed
 * gives the same values.
 */
#ifndef TESTS_UNIT_RANDOM_CBOR_H
#define TESTS_UNIT_RANDOM_CBOR_H

#include "base/buf.h"
#include "codec/cbor.h"
#include "codec/cid.h"

/* splitmix64 */
static uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Head of a major type (the first members of enum cbor_type) with n in its shortest form. */
static void put_head(struct buf *out, unsigned major, uint64_t n)
{
	size_t n_bytes = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
	static const uint8_t info[] = {[1] = 24, [2] = 25, [4] = 26, [8] = 27};

	buf_u8(out, (uint8_t)(major << 5 | (n_bytes ? info[n_bytes] : n)));
	while (n_bytes > 0)
		buf_u8(out, (uint8_t)(n >> 8 * --n_bytes));
}

static void put_random_text(struct buf *out, uint64_t *seed)
{
	static const char *const pieces[] = {"a", "z", "Z9", "\"", "\\", "\n", "\x01", "\x1f",
		"\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xef\xbf\xbd", "\xef\xbf\xbf",
		"\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "abcdefgh", "/", "$link", "$bytes", "\0"};
	const size_t n_pieces = sizeof pieces / sizeof pieces[0];
	struct buf text = BUF_INIT;

	for (uint64_t n = rng_next(seed) % 8; n > 0; n--) {
		/* the last one, U+0000, and with it an inexact value, only now and then */
		size_t i = rng_next(seed) % (rng_next(seed) % 16 ? n_pieces - 1 : n_pieces);

		buf_add(&text, pieces[i], pieces[i][0] ? strlen(pieces[i]) : 1);
	}
	put_head(out, CBOR_TEXT, text.n);
	buf_add_slice(out, buf_slice(&text));
	buf_done(&text);
}

/* An integer near a power of two, or of any size. */
static void put_random_integer(struct buf *out, uint64_t *seed)
{
	uint64_t n = (uint64_t)1 << rng_next(seed) % 64;

	n = rng_next(seed) % 2 ? n - rng_next(seed) % 3 : n | rng_next(seed) % n;
	put_head(out, rng_next(seed) % 2 ? CBOR_UINT : CBOR_NINT, n);
}

static void put_random_bytes(struct buf *out, uint64_t *seed, size_t n)
{
	while (n-- > 0)
		buf_u8(out, (uint8_t)rng_next(seed));
}

/* Writes the n-th key of a map so that keys are sorted: every one longer than the one before. */
static void put_random_key(struct buf *out, uint64_t *seed, size_t *length)
{
	size_t n = *length + 1 + rng_next(seed) % 3;

	put_head(out, CBOR_TEXT, n);
	for (size_t i = 0; i < n; i++)
		buf_u8(out, (uint8_t)("ab$\"\\~ "[rng_next(seed) % 7]));
	*length = n;
}

static void put_random_scalar(struct buf *out, uint64_t *seed)
{
	static const uint8_t cid_head[] = {0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01};
	size_t n;

	switch (rng_next(seed) % 8) {
	case 0:
		buf_u8(out, (uint8_t)(0xf4 + rng_next(seed) % 3));
		break;
	case 1:
		n = rng_next(seed) % 40;
		put_head(out, CBOR_BYTES, n);
		put_random_bytes(out, seed, n);
		break;
	case 2:
		buf_add(out, cid_head, sizeof cid_head);
		buf_u8(out, rng_next(seed) % 2 ? CID_RAW : CID_DAG_CBOR);
		buf_be16(out, 0x1220);
		put_random_bytes(out, seed, CID_DIGEST);
		break;
	case 3:
	case 4:
	case 5:
		put_random_text(out, seed);
		break;
	default:
		put_random_integer(out, seed);
	}
}

/* Writes a random valid value without recursion: open containers wait on a small stack. */
static void put_random_value(struct buf *out, uint64_t *seed)
{
	struct {
		uint64_t n_left;
		size_t key_length;
		bool is_map;
	} levels[12];
	size_t depth = 0;

	do {
		bool container = depth < 12 && rng_next(seed) % (depth == 0 ? 8 : 3) > (depth > 0);

		while (depth > 0 && levels[depth - 1].n_left == 0)
			depth--;
		if (depth > 0) {
			levels[depth - 1].n_left--;
			if (levels[depth - 1].is_map)
				put_random_key(out, seed, &levels[depth - 1].key_length);
		}
		if (!container) {
			put_random_scalar(out, seed);
		} else {
			levels[depth].n_left = rng_next(seed) % 5;
			levels[depth].key_length = rng_next(seed) % 30;
			levels[depth].is_map = rng_next(seed) % 2;
			put_head(out, levels[depth].is_map ? CBOR_MAP : CBOR_ARRAY,
				levels[depth].n_left);
			depth++;
		}
		while (depth > 0 && levels[depth - 1].n_left == 0)
			depth--;
	} while (depth > 0);
}

#endif
