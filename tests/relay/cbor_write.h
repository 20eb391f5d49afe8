/* SPDX-License-Identifier: MIT
 *
 * cbor_write - DAG-CBOR output, item by item
 *
 * The caller writes map keys in canonical order (shorter first, then bytewise) and as many members
 * as it announced; lengths and integers are always the shortest form. Owns: nothing. Errors: none.
 * Must not know: frames, records.
 */
#ifndef RELAY_CBOR_WRITE_H
#define RELAY_CBOR_WRITE_H

#include "base/buf.h"
#include "codec/cid.h"

void cbor_write_uint(struct buf *out, uint64_t v);
void cbor_write_bytes(struct buf *out, struct slice s);
/* s must be valid UTF-8. */
void cbor_write_text(struct buf *out, struct slice s);
void cbor_write_str(struct buf *out, const char *s);
/* n items follow. */
void cbor_write_array(struct buf *out, size_t n);
/* n pairs follow. */
void cbor_write_map(struct buf *out, size_t n);
void cbor_write_cid(struct buf *out, enum cid_codec codec, const uint8_t digest[CID_DIGEST]);
void cbor_write_bool(struct buf *out, bool v);
void cbor_write_null(struct buf *out);
/* A key and its text. */
void cbor_write_pair(struct buf *out, const char *key, const char *value);

#endif
