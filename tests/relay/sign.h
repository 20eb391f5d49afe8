/* SPDX-License-Identifier: MIT
 *
 * sign - secp256k1 keys and signatures of accounts
 *
 * Owns: the library context until signer_done. Signatures are deterministic (RFC 6979) and low-S.
 * Errors: none; a key that is no valid secret is a programming error (chance 2^-128).
 */
#ifndef RELAY_SIGN_H
#define RELAY_SIGN_H

#include "base/buf.h"

enum { SIGN_KEY = 32, SIGN_BYTES = 64 };

struct secp256k1_context_struct;

struct signer {
	struct secp256k1_context_struct *context;
};

void signer_init(struct signer *signer);
/* Also of one that was never initialised, but zeroed. */
void signer_done(struct signer *signer);
/* Signs SHA-256(message): r || s. */
void sign_message(const struct signer *signer, const uint8_t key[SIGN_KEY], struct slice message,
	uint8_t ret_signature[SIGN_BYTES]);
/* Appends the public key as publicKeyMultibase ("zQ3s..."). */
void sign_multibase(const struct signer *signer, const uint8_t key[SIGN_KEY], struct buf *out);

#endif
