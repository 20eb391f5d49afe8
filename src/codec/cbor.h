/* SPDX-License-Identifier: MIT
 *
 * cbor - strict DAG-CBOR (DRISL) cursor over borrowed bytes
 *
 * Two steps: cbor_check proves once that some bytes are exactly one valid item; afterwards the cheap
 * cursor walks them. The cursor is memory-safe on any input, but only cbor_check enforces the strict
 * rules across items (map key order, duplicates). Refused: indefinite lengths, non-shortest integers and
 * lengths, tags other than 42, simple values other than false/true/null, floats other than finite
 * 64-bit, map keys that are not text, unsorted (shorter first, then bytewise) or duplicate keys, invalid
 * UTF-8, bad CIDs, trailing bytes.
 * Owns: nothing. No recursion, no allocation except the arena's stack in cbor_check.
 * Errors: enum cbor_status. Source: dasl.ing/drisl.html, atproto.com/specs/data-model.
 */
#ifndef CODEC_CBOR_H
#define CODEC_CBOR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum cbor_status {
	CBOR_OK = 0,
	CBOR_E_TRUNCATED,
	CBOR_E_TRAILING,
	CBOR_E_NOT_SHORTEST,
	CBOR_E_INDEFINITE,
	CBOR_E_TAG,
	CBOR_E_SIMPLE,
	CBOR_E_FLOAT,
	CBOR_E_KEY_TYPE,
	CBOR_E_KEY_ORDER,
	CBOR_E_KEY_DUPLICATE,
	CBOR_E_UTF8,
	CBOR_E_CID,
	CBOR_E_DEPTH,
	CBOR_E_END,	 /* cbor_next at the end of input */
	CBOR_E_TYPE,	 /* cbor_get_*: another type is there */
	CBOR_E_ABSENT,	 /* cbor_find: no such key, or not a map */
	N_CBOR_STATUS
};

enum cbor_type {
	CBOR_UINT,  /* n */
	CBOR_NINT,  /* value is -1 - n */
	CBOR_BYTES, /* s */
	CBOR_TEXT,  /* s */
	CBOR_ARRAY, /* n items follow */
	CBOR_MAP,   /* n pairs follow */
	CBOR_CID,   /* s: the binary CID without the leading 0x00 */
	CBOR_BOOL,  /* n: 0 or 1 */
	CBOR_NULL,
	CBOR_FLOAT, /* d */
};

struct cbor {
	const uint8_t *p, *end;
};

struct cbor_item {
	enum cbor_type type;
	uint64_t n;
	double d;
	struct slice s;
};

/* Nesting up to this is accepted by cbor_check (records in the wild exceed 32). */
enum { CBOR_MAX_DEPTH = 4096 };

const char *cbor_status_name(enum cbor_status status);

static inline struct cbor cbor_over(struct slice s)
{
	return (struct cbor){ s.p, slice_end(s) };
}

/* Reads one item head; a container's members follow as further items. */
enum cbor_status cbor_next(struct cbor *c, struct cbor_item *ret_item) NODISCARD;
/* Reads a key of a map that cbor_check has passed: text, of which it is known that it is UTF-8. */
enum cbor_status cbor_key(struct cbor *c, struct slice *ret_key) NODISCARD;
/* Steps over one whole item, containers included (bounds checked, order not). */
enum cbor_status cbor_skip(struct cbor *c) NODISCARD;
/* Proves that s is exactly one valid item, nothing after it. scratch holds the stack meanwhile. */
enum cbor_status cbor_check(struct slice s, struct arena *scratch) NODISCARD;
/* The same for the first item of s; *ret_n_bytes is its length. */
enum cbor_status cbor_check_first(struct slice s, struct arena *scratch, size_t *ret_n_bytes) NODISCARD;

/* Looks key up in the map whose bytes are `map`; *ret_value then begins at the value and ends at the end
 * of the map's bytes. CBOR_E_ABSENT if not there or not a map. Stops at the first longer key: the map
 * must be sorted, as cbor_check proves, or keys are missed. */
enum cbor_status cbor_find(struct slice map, const char *key, struct cbor *ret_value) NODISCARD;
/* Follows map keys separated by dots ("subject.uri"); reads the item's head at the end. If
 * ret_bytes is not NULL it gets the bytes of the whole item. */
enum cbor_status cbor_path(struct slice map, const char *path, struct cbor_item *ret_item,
	struct slice *ret_bytes) NODISCARD;
/* True if s is valid UTF-8 (no surrogates, no overlongs, <= U+10FFFF). */
bool utf8_valid(struct slice s);

#endif
