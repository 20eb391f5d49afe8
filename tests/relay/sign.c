/* SPDX-License-Identifier: MIT */
#include "sign.h"
#include "codec/cid.h"

#include <assert.h>
#include <secp256k1.h>
#include <stdlib.h>

enum {
	POINT_BYTES = 33,
	CODEC_BYTES = 2,
	MULTIKEY_BYTES = CODEC_BYTES + POINT_BYTES,
	BASE58_MAX = 50
};

void signer_init(struct signer *signer)
{
	signer->context = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
	if (!signer->context)
		abort();
}

void signer_done(struct signer *signer)
{
	if (signer->context)
		secp256k1_context_destroy(signer->context);
	signer->context = NULL;
}

void sign_message(const struct signer *signer, const uint8_t key[SIGN_KEY], struct slice message,
	uint8_t ret_signature[SIGN_BYTES])
{
	secp256k1_ecdsa_signature signature;
	uint8_t digest[CID_DIGEST];
	int valid;

	sha256(message, digest);
	valid = secp256k1_ecdsa_sign(signer->context, &signature, digest, key, NULL, NULL);
	assert(valid);
	secp256k1_ecdsa_signature_serialize_compact(signer->context, ret_signature, &signature);
}

/* Base58 (bitcoin alphabet) of bytes that do not begin with zero. */
static void add_base58(struct buf *out, const uint8_t bytes[MULTIKEY_BYTES])
{
	static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	uint8_t digits[BASE58_MAX] = {0};
	size_t n = 1;

	for (size_t i = 0; i < MULTIKEY_BYTES; i++) {
		unsigned carry = bytes[i];

		for (size_t j = 0; j < n || carry; j++) {
			carry += 256u * digits[j];
			digits[j] = (uint8_t)(carry % 58);
			carry /= 58;
			n = j + 1 > n ? j + 1 : n;
		}
	}
	while (n--)
		buf_u8(out, (uint8_t)alphabet[digits[n]]);
}

void sign_multibase(const struct signer *signer, const uint8_t key[SIGN_KEY], struct buf *out)
{
	uint8_t multikey[MULTIKEY_BYTES] = {0xe7, 0x01};
	secp256k1_pubkey pubkey;
	size_t n = POINT_BYTES;
	int valid = secp256k1_ec_pubkey_create(signer->context, &pubkey, key);

	assert(valid);
	secp256k1_ec_pubkey_serialize(
		signer->context, multikey + CODEC_BYTES, &n, &pubkey, SECP256K1_EC_COMPRESSED);
	buf_u8(out, 'z');
	add_base58(out, multikey);
}
