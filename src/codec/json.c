/* SPDX-License-Identifier: MIT */
#include "codec/json.h"

#include "codec/cbor.h"
#include "codec/cid.h"

#include <stdio.h>

/* A container whose members are being written. */
struct level {
	uint64_t n_left; /* items, or pairs of a map */
	uint8_t close;   /* ']' or '}' */
	bool started;    /* a member was written: the next one needs a comma */
};

struct writer {
	struct cbor c;
	struct buf *out;
	bool exact;
	size_t depth;
	struct level levels[JSON_MAX_DEPTH];
};

static const char base64[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Length of the part of s before the first byte that a JSON string must escape. */
static size_t plain_length(struct slice s)
{
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	size_t i = 0;

	/* eight at a time: a byte's top bit rises if it is below 0x20, '"' or '\\'; a wrong rise
	 * only ever comes above a right one, so the loop below finds the right one */
	for (; s.n - i >= 8; i += 8) {
		uint64_t v, quote, backslash;

		memcpy(&v, s.p + i, sizeof v);
		quote = v ^ ones * '"';
		backslash = v ^ ones * '\\';
		if (((v - ones * 0x20) | (quote - ones) | (backslash - ones)) & ~v & tops)
			break;
	}
	while (i < s.n && s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\')
		i++;
	return i;
}

/* Appends a byte that must be escaped; false for U+0000, which becomes U+FFFD. */
static bool put_escape(struct buf *out, uint8_t byte)
{
	static const char letters[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

	if (byte == 0) {
		buf_add_str(out, "\xef\xbf\xbd");
		return false;
	}
	if (byte >= 0x20 || letters[byte]) {
		buf_u8(out, '\\');
		buf_u8(out, byte >= 0x20 ? byte : (uint8_t)letters[byte]);
	} else {
		buf_printf(out, "\\u%04x", byte);
	}
	return true;
}

bool json_put_string(struct buf *out, struct slice s)
{
	bool exact = true;

	buf_u8(out, '"');
	for (;;) {
		size_t n = plain_length(s);

		buf_add(out, s.p, n);
		if (n == s.n)
			break;
		exact &= put_escape(out, s.p[n]);
		s = slice_of(s.p + n + 1, s.n - n - 1);
	}
	buf_u8(out, '"');
	return exact;
}

static void put_digits(struct buf *out, uint64_t n)
{
	uint8_t digits[20], *p = digits + sizeof digits;

	do {
		*--p = (uint8_t)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_add(out, p, (size_t)(digits + sizeof digits - p));
}

/* Appends -1 - n. */
static void put_negative(struct buf *out, uint64_t n)
{
	if (n == UINT64_MAX) {
		buf_add_str(out, "-18446744073709551616");
		return;
	}
	buf_u8(out, '-');
	put_digits(out, n + 1);
}

static void put_bytes(struct buf *out, struct slice s)
{
	uint8_t *p;
	uint32_t bits = 0, n_bits = 0;

	buf_add_str(out, "{\"$bytes\":\"");
	p = buf_room(out, s.n + s.n / 3 + 2);
	for (size_t i = 0; i < s.n; i++) {
		bits = (bits << 8 | s.p[i]) & 0xffff;
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			*p++ = (uint8_t)base64[bits >> (n_bits - 6) & 63];
	}
	if (n_bits > 0)
		*p++ = (uint8_t)base64[bits << (6 - n_bits) & 63];
	out->n = (size_t)(p - out->p);
	buf_add_str(out, "\"}");
}

/* Appends the CID in s; false if it is none. */
static bool put_cid(struct buf *out, struct slice s)
{
	struct cid cid;
	char text[CID_TEXT + 1];

	if (!cid_from_bytes(s, &cid))
		return false;
	cid_to_text(&cid, text);
	buf_add_str(out, "{\"$link\":\"");
	buf_add(out, text, CID_TEXT);
	buf_add_str(out, "\"}");
	return true;
}

/* Opens a container, or writes an empty one; *ret_opened tells which. */
static enum json_status open_container(
	struct writer *w, const struct cbor_item *item, bool *ret_opened)
{
	bool is_map = item->type == CBOR_MAP;
	uint8_t close = is_map ? '}' : ']';

	if (w->depth == JSON_MAX_DEPTH)
		return JSON_E_DEPTH;
	buf_u8(w->out, is_map ? '{' : '[');
	*ret_opened = item->n > 0;
	if (*ret_opened)
		w->levels[w->depth++] = (struct level){.n_left = item->n, .close = close};
	else
		buf_u8(w->out, close);
	return JSON_OK;
}

/* Writes one item, of a container only what opens it. */
static enum json_status put_item(struct writer *w, const struct cbor_item *item, bool *ret_opened)
{
	*ret_opened = false;
	switch (item->type) {
	case CBOR_UINT:
		w->exact &= item->n <= INT64_MAX;
		put_digits(w->out, item->n);
		return JSON_OK;
	case CBOR_NINT:
		w->exact &= item->n <= INT64_MAX;
		put_negative(w->out, item->n);
		return JSON_OK;
	case CBOR_BYTES:
		put_bytes(w->out, item->s);
		return JSON_OK;
	case CBOR_TEXT:
		w->exact &= json_put_string(w->out, item->s);
		return JSON_OK;
	case CBOR_ARRAY:
	case CBOR_MAP:
		return open_container(w, item, ret_opened);
	case CBOR_CID:
		return put_cid(w->out, item->s) ? JSON_OK : JSON_E_CBOR;
	case CBOR_BOOL:
		buf_add_str(w->out, item->n ? "true" : "false");
		return JSON_OK;
	case CBOR_NULL:
		buf_add_str(w->out, "null");
		return JSON_OK;
	case CBOR_FLOAT:
		w->exact = false; /* no digits tell 1.0 from 1 */
		buf_printf(w->out, "%.17g", item->d);
		return JSON_OK;
	}
	return JSON_E_CBOR;
}

/* Writes what stands before the next member: a comma, a map's key. */
static enum json_status put_lead(struct writer *w)
{
	struct level *level = &w->levels[w->depth - 1];
	struct cbor_item key;

	if (level->started)
		buf_u8(w->out, ',');
	level->started = true;
	if (level->close != '}')
		return JSON_OK;
	if (cbor_next(&w->c, &key) || key.type != CBOR_TEXT)
		return JSON_E_CBOR;
	if (slice_is(key.s, "$link") || slice_is(key.s, "$bytes"))
		w->exact = false; /* reads as a CID or as bytes */
	w->exact &= json_put_string(w->out, key.s);
	buf_u8(w->out, ':');
	return JSON_OK;
}

/* Writes one whole item, from its head until every container is closed again. */
static enum json_status put_tree(struct writer *w)
{
	for (;;) {
		struct cbor_item item;
		bool opened;
		enum json_status r = w->depth > 0 ? put_lead(w) : JSON_OK;

		if (r)
			return r;
		if (cbor_next(&w->c, &item))
			return JSON_E_CBOR;
		r = put_item(w, &item, &opened);
		if (r)
			return r;
		if (opened)
			continue;
		while (w->depth > 0 && --w->levels[w->depth - 1].n_left == 0)
			buf_u8(w->out, w->levels[--w->depth].close);
		if (w->depth == 0)
			return w->c.p == w->c.end ? JSON_OK : JSON_E_CBOR;
	}
}

enum json_status json_from_cbor(struct slice cbor, struct buf *out)
{
	size_t n_before = out->n;
	struct writer w;
	enum json_status r;

	/* levels are written before they are read: clearing 16 kB costs more than a record */
	w.c = cbor_over(cbor);
	w.out = out;
	w.exact = true;
	w.depth = 0;
	r = put_tree(&w);
	if (r) {
		out->n = n_before;
		return r;
	}
	return w.exact ? JSON_OK : JSON_INEXACT;
}
