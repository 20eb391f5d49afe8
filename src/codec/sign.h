/* SPDX-License-Identifier: MIT
 *
 * sign - signing keys of accounts, and whether a signature is theirs: ECDSA on secp256k1 and P-256
 *
 * A signature is 64 bytes, r || s, over a SHA-256 digest; s must be the lower of the two that fit, on both
 * curves. A key travels as its compressed point; sign_key_load makes of it what the library works with.
 * Owns: the loaded form of a P-256 key, until sign_key_done. Errors: false; there is nothing to say about a
 * signature but that it does not fit.
 * Source: atproto.com/specs/{cryptography,did}. Must not know: commits, DID documents.
 */
#ifndef CODEC_SIGN_H
#define CODEC_SIGN_H

#include "codec/cid.h"

/* The numbers are in the database: never reuse one. */
enum sign_curve { SIGN_NONE = 0, SIGN_K256 = 1, SIGN_P256 = 2 };

enum { SIGN_POINT = 33, SIGN_BYTES = 64 };

struct sign_key {
	uint8_t curve; /* enum sign_curve */
	uint8_t point[SIGN_POINT];
	bool loaded;
	uint8_t k256[64]; /* loaded */
	void *p256;	  /* loaded */
};

/* Multikey: "z" + base58btc of codec and compressed point. Keys from text are not loaded. */
bool sign_key_from_multikey(struct slice text, struct sign_key *ret);
/* "did:key:" + multikey. */
bool sign_key_from_did(struct slice text, struct sign_key *ret);
/* The older form, where the type names the curve: "z" + base58btc of a compressed or uncompressed point. */
bool sign_key_from_legacy(enum sign_curve curve, struct slice text, struct sign_key *ret);
/* False if the point is not on the curve. */
bool sign_key_load(struct sign_key *key);
void sign_key_done(struct sign_key *key);
/* key must be loaded. */
bool sign_verify(const struct sign_key *key, const uint8_t digest[CID_DIGEST], struct slice signature);

#endif
