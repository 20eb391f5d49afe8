/* SPDX-License-Identifier: MIT
 *
 * DAG-CBOR: cbor_check accepts exactly what a second, plain reader accepts; what it accepts is in the one
 * canonical form, and every way of walking it ends at the same byte. The cursor alone survives any bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "codec/cbor.h"
#include "tests/fuzz/plain_cbor.h"

/* The head of a major type with n, in the only form there is. */
static size_t head_of(unsigned major, uint64_t n, uint8_t *out)
{
	unsigned n_bytes = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n <= UINT32_MAX ? 4 : 8;
	unsigned info = n_bytes == 0 ? (unsigned)n : n_bytes == 1 ? 24 : n_bytes == 2 ? 25 : n_bytes == 4 ? 26 : 27;

	out[0] = (uint8_t)(major << 5 | info);
	for (unsigned i = 0; i < n_bytes; i++)
		out[1 + i] = (uint8_t)(n >> 8 * (n_bytes - 1 - i));
	return 1 + n_bytes;
}

/* What the item is written as, as far as its value says: nothing else may have stood there. */
static size_t written_as(const struct cbor_item *item, uint8_t *out)
{
	uint64_t bits;

	switch (item->type) {
	case CBOR_BYTES:
	case CBOR_TEXT:
		return head_of(item->type, item->s.n, out);
	case CBOR_UINT:
	case CBOR_NINT:
	case CBOR_ARRAY:
	case CBOR_MAP:
		return head_of(item->type, item->n, out);
	case CBOR_CID:
		memcpy(out, "\xd8\x2a\x58\x25\x00", 5);
		return 5;
	case CBOR_BOOL:
		out[0] = item->n ? 0xf5 : 0xf4;
		return 1;
	case CBOR_NULL:
		out[0] = 0xf6;
		return 1;
	case CBOR_FLOAT:
		memcpy(&bits, &item->d, sizeof bits);
		out[0] = 0xfb;
		for (int i = 0; i < 8; i++)
			out[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
		return 9;
	}
	abort();
}

/* Every item of a valid value is the canonical form of what the cursor says it is. */
static void is_canonical(struct slice s)
{
	struct cbor c = cbor_over(s);
	uint64_t n_left = 1;

	while (n_left > 0) {
		const uint8_t *began = c.p;
		struct cbor_item item;
		uint8_t head[16];
		size_t n;

		MUST(cbor_next(&c, &item) == CBOR_OK);
		n_left += item.type == CBOR_ARRAY ? item.n : item.type == CBOR_MAP ? 2 * item.n : 0;
		n_left--;
		n = written_as(&item, head);
		MUST((size_t)(c.p - began) == n + item.s.n && memcmp(began, head, n) == 0);
		MUST(item.s.n == 0 || item.s.p == began + n);
	}
	MUST(c.p == c.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct arena arena;
	struct slice s = slice_of(data, n), bytes;
	struct cbor c = cbor_over(s);
	enum cbor_status status, skipped;
	struct cbor_item item;
	size_t n_first = 0;

	arena_reset(&arena);
	status = cbor_check(s, &arena);
	MUST((status == CBOR_OK) == plain_valid(data, n));
	skipped = cbor_skip(&c);
	if (status == CBOR_OK) {
		MUST(skipped == CBOR_OK && c.p == c.end);
		is_canonical(s);
	} else if (status == CBOR_E_TRAILING) {
		MUST(cbor_check_first(s, &arena, &n_first) == CBOR_OK && n_first < n);
		MUST(skipped == CBOR_OK && c.p == data + n_first);
	}
	if (cbor_path(s, "a.b", &item, &bytes) == CBOR_OK)
		MUST(bytes.p > data && bytes.p + bytes.n <= data + n && bytes.n > 0);
	return 0;
}
