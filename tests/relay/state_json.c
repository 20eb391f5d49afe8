/* SPDX-License-Identifier: MIT */
#include "codec/cbor.h"
#include "codec/cid.h"
#include "state.h"

#include <assert.h>
#include <openssl/evp.h>

enum { DEPTH_MAX = 256 };

/* Members still to come of an open container. */
struct level {
	uint64_t n_left;
	bool map, at_value;
};

static void put_string(struct buf *out, struct slice s)
{
	buf_u8(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '"' || c == '\\')
			buf_u8(out, '\\');
		if (c < 0x20)
			buf_printf(out, "\\u%04x", c);
		else
			buf_u8(out, c);
	}
	buf_u8(out, '"');
}

static void put_bytes(struct buf *out, struct slice s)
{
	size_t n_text = (s.n + 2) / 3 * 4;

	buf_add_str(out, "{\"$bytes\":\"");
	assert(s.n < INT32_MAX);
	EVP_EncodeBlock(buf_room(out, n_text + 1), s.p, (int)s.n);
	out->n += n_text;
	while (n_text && out->p[out->n - 1] == '=')
		out->n--;
	buf_add_str(out, "\"}");
}

static void put_link(struct buf *out, struct slice s)
{
	char text[CID_TEXT + 1];
	struct cid cid;
	bool valid = cid_from_bytes(s, &cid);

	assert(valid);
	cid_to_text(&cid, text);
	buf_printf(out, "{\"$link\":\"%s\"}", text);
}

/* An item that holds no others. */
static void put_scalar(struct buf *out, const struct cbor_item *item)
{
	switch (item->type) {
	case CBOR_UINT:
		buf_printf(out, "%llu", (unsigned long long)item->n);
		break;
	case CBOR_NINT:
		buf_printf(out, "%lld", -1 - (long long)item->n);
		break;
	case CBOR_BYTES:
		put_bytes(out, item->s);
		break;
	case CBOR_TEXT:
		put_string(out, item->s);
		break;
	case CBOR_CID:
		put_link(out, item->s);
		break;
	case CBOR_BOOL:
		buf_add_str(out, item->n ? "true" : "false");
		break;
	default:
		assert(item->type == CBOR_NULL);
		buf_add_str(out, "null");
	}
}

/* Closes the containers that are complete; true while one is open. */
static bool close_complete(struct buf *out, struct level *levels, size_t *depth)
{
	while (*depth && levels[*depth - 1].n_left == 0)
		buf_u8(out, levels[--*depth].map ? '}' : ']');
	return *depth > 0;
}

/* Writes what stands between the members of the innermost container. */
static void put_separator(struct buf *out, struct level *level, bool first)
{
	if (level->map && level->at_value)
		buf_u8(out, ':');
	else if (!first)
		buf_u8(out, ',');
	if (!level->map || level->at_value)
		level->n_left--;
	level->at_value = level->map && !level->at_value;
}

void state_json(struct buf *out, struct slice block)
{
	struct level levels[DEPTH_MAX];
	struct cbor c = cbor_over(block);
	struct cbor_item item;
	size_t depth = 0;
	bool first = true;

	do {
		enum cbor_status status = cbor_next(&c, &item);

		assert(status == CBOR_OK);
		if (depth)
			put_separator(out, &levels[depth - 1], first);
		first = item.type == CBOR_MAP || item.type == CBOR_ARRAY;
		if (!first) {
			put_scalar(out, &item);
			continue;
		}
		assert(depth < DEPTH_MAX);
		levels[depth++] = (struct level){.n_left = item.n, .map = item.type == CBOR_MAP};
		buf_u8(out, item.type == CBOR_MAP ? '{' : '[');
		first = item.n > 0;
	} while (close_complete(out, levels, &depth));
}
