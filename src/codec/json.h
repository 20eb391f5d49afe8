/* SPDX-License-Identifier: MIT
 *
 * json - DAG-CBOR to the JSON form of the atproto data model, and back
 *
 * CID -> {"$link": "b..."}, bytes -> {"$bytes": base64 without padding}, integers as digits. U+0000 in a
 * string becomes U+FFFD (PostgreSQL cannot hold it); such a value is not exact. No recursion.
 * Source: atproto.com/specs/data-model.
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/arena.h"
#include "base/buf.h"

enum json_status {
	JSON_OK = 0,
	JSON_INEXACT,	/* written, but the JSON does not give the same bytes back (U+0000, a float, an
			 * integer beyond signed 64 bits, a map with a key $link or $bytes) */
	JSON_E_DEPTH,	/* deeper than JSON_MAX_DEPTH; out is unchanged */
	JSON_E_CBOR,	/* not valid DAG-CBOR */
	JSON_E_SYNTAX,	/* json_to_cbor: not JSON, or a number that is no 64-bit integer */
};

enum { JSON_MAX_DEPTH = 1024 };

/* Appends the JSON text of one item. cbor must have passed cbor_check. */
enum json_status json_from_cbor(struct slice cbor, struct buf *out) NODISCARD;
/* The inverse: parses JSON text and appends strict DAG-CBOR (keys sorted). Used by fsck and tests. */
enum json_status json_to_cbor(struct slice json, struct arena *scratch, struct buf *out) NODISCARD;
/* Appends s as a JSON string with quotes; true if exact (no U+0000). s must be valid UTF-8. */
bool json_put_string(struct buf *out, struct slice s);

#endif
