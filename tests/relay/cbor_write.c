/* SPDX-License-Identifier: MIT */
#include "cbor_write.h"

enum major { MAJOR_UINT = 0, MAJOR_BYTES = 2, MAJOR_TEXT = 3, MAJOR_ARRAY = 4, MAJOR_MAP = 5 };

/* Writes an item head in its shortest form. */
static void write_head(struct buf *out, enum major major, uint64_t n)
{
	uint8_t top = (uint8_t)(major << 5);

	if (n < 24) {
		buf_u8(out, (uint8_t)(top | n));
	} else if (n <= UINT8_MAX) {
		buf_u8(out, top | 24);
		buf_u8(out, (uint8_t)n);
	} else if (n <= UINT16_MAX) {
		buf_u8(out, top | 25);
		buf_be16(out, (uint16_t)n);
	} else if (n <= UINT32_MAX) {
		buf_u8(out, top | 26);
		buf_be32(out, (uint32_t)n);
	} else {
		buf_u8(out, top | 27);
		buf_be64(out, n);
	}
}

void cbor_write_uint(struct buf *out, uint64_t v)
{
	write_head(out, MAJOR_UINT, v);
}

void cbor_write_bytes(struct buf *out, struct slice s)
{
	write_head(out, MAJOR_BYTES, s.n);
	buf_add_slice(out, s);
}

void cbor_write_text(struct buf *out, struct slice s)
{
	write_head(out, MAJOR_TEXT, s.n);
	buf_add_slice(out, s);
}

void cbor_write_str(struct buf *out, const char *s)
{
	cbor_write_text(out, slice_str(s));
}

void cbor_write_array(struct buf *out, size_t n)
{
	write_head(out, MAJOR_ARRAY, n);
}

void cbor_write_map(struct buf *out, size_t n)
{
	write_head(out, MAJOR_MAP, n);
}

void cbor_write_cid(struct buf *out, enum cid_codec codec, const uint8_t digest[CID_DIGEST])
{
	const uint8_t head[] = {0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01, (uint8_t)codec, 0x12, 0x20};

	buf_add(out, head, sizeof head);
	buf_add(out, digest, CID_DIGEST);
}

void cbor_write_bool(struct buf *out, bool v)
{
	buf_u8(out, v ? 0xf5 : 0xf4);
}

void cbor_write_null(struct buf *out)
{
	buf_u8(out, 0xf6);
}

void cbor_write_pair(struct buf *out, const char *key, const char *value)
{
	cbor_write_str(out, key);
	cbor_write_str(out, value);
}
