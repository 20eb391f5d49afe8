/* SPDX-License-Identifier: MIT
 *
 * cid - content identifiers as atproto uses them: v1, dag-cbor or raw, SHA-256
 *
 * Binary: 01 71|55 12 20 + 32 bytes digest (36 bytes); text: "b" + lower-case base32 without padding
 * (59 characters). Everything else is refused. Owns: nothing.
 */
#ifndef CODEC_CID_H
#define CODEC_CID_H

#include "base/slice.h"

enum { CID_BYTES = 36, CID_TEXT = 59, CID_DIGEST = 32 };
enum cid_codec { CID_DAG_CBOR = 0x71, CID_RAW = 0x55 };

struct cid {
	uint8_t codec; /* enum cid_codec */
	uint8_t digest[CID_DIGEST];
};

/* False unless s is exactly one such CID. */
bool cid_from_bytes(struct slice s, struct cid *ret_cid);
bool cid_from_text(struct slice s, struct cid *ret_cid);
/* 36 bytes. */
void cid_to_bytes(const struct cid *cid, uint8_t ret_bytes[CID_BYTES]);
/* 59 characters and a NUL. */
void cid_to_text(const struct cid *cid, char ret_text[CID_TEXT + 1]);
bool cid_eq(const struct cid *a, const struct cid *b);

/* SHA-256 of s (OpenSSL EVP, context reused per process). */
void sha256(struct slice s, uint8_t ret_digest[CID_DIGEST]);
/* True if the digest of cid is the SHA-256 of block. */
bool cid_matches(const struct cid *cid, struct slice block);

#endif
