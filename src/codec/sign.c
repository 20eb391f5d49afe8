/* SPDX-License-Identifier: MIT */
#include "codec/sign.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <secp256k1.h>
#include <stdlib.h>

enum {
	HALF = SIGN_BYTES / 2,
	LONG_POINT = 65,
	CODEC_BYTES = 2,
	BASE58_MAX = 100, /* characters: more than 65 bytes need */
};

_Static_assert(sizeof(secp256k1_pubkey) == sizeof((struct sign_key){ 0 }.k256), "a loaded key fits");

/* ---- text ---- */

/* Value of a base58btc digit, or negative. */
static int base58_value(uint8_t c)
{
	static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The bytes of "z" + base58btc, at most LONG_POINT + CODEC_BYTES of them; false if it is none. */
static bool multibase_bytes(struct slice text, uint8_t ret[LONG_POINT + CODEC_BYTES], size_t *ret_n)
{
	size_t n = 0, n_zeros = 0;

	if (text.n < 2 || text.n > BASE58_MAX || text.p[0] != 'z')
		return false;
	while (n_zeros + 1 < text.n && text.p[n_zeros + 1] == '1')
		n_zeros++;
	for (size_t i = 1 + n_zeros; i < text.n; i++) { /* ret holds the number's bytes, lowest first */
		int value = base58_value(text.p[i]);
		unsigned carry = (unsigned)value;

		if (value < 0)
			return false;
		for (size_t k = 0; k < n || carry; k++) {
			if (k == LONG_POINT + CODEC_BYTES)
				return false;
			carry += k < n ? 58u * ret[k] : 0;
			ret[k] = (uint8_t)carry;
			carry >>= 8;
			n = k + 1 > n ? k + 1 : n;
		}
	}
	if (n_zeros) /* no codec and no point begins with zero */
		return false;
	for (size_t i = 0; i < n / 2; i++) {
		uint8_t swap = ret[i];

		ret[i] = ret[n - 1 - i];
		ret[n - 1 - i] = swap;
	}
	*ret_n = n;
	return true;
}

bool sign_key_from_multikey(struct slice text, struct sign_key *ret)
{
	uint8_t bytes[LONG_POINT + CODEC_BYTES];
	size_t n;

	*ret = (struct sign_key){ 0 };
	if (!multibase_bytes(text, bytes, &n) || n != CODEC_BYTES + SIGN_POINT)
		return false;
	if (bytes[0] == 0xe7 && bytes[1] == 0x01)
		ret->curve = SIGN_K256;
	else if (bytes[0] == 0x80 && bytes[1] == 0x24)
		ret->curve = SIGN_P256;
	else
		return false;
	memcpy(ret->point, bytes + CODEC_BYTES, SIGN_POINT);
	return true;
}

bool sign_key_from_did(struct slice text, struct sign_key *ret)
{
	static const char prefix[] = "did:key:";
	size_t n = sizeof prefix - 1;

	if (text.n < n || memcmp(text.p, prefix, n) != 0)
		return false;
	return sign_key_from_multikey(slice_of(text.p + n, text.n - n), ret);
}

bool sign_key_from_legacy(enum sign_curve curve, struct slice text, struct sign_key *ret)
{
	uint8_t bytes[LONG_POINT + CODEC_BYTES];
	size_t n;

	*ret = (struct sign_key){ .curve = (uint8_t)curve };
	if (!multibase_bytes(text, bytes, &n))
		return false;
	if (n == LONG_POINT && bytes[0] == 0x04) {
		ret->point[0] = 0x02 | (bytes[LONG_POINT - 1] & 1); /* the other coordinate follows from this one */
		memcpy(ret->point + 1, bytes + 1, SIGN_POINT - 1);
		return true;
	}
	memcpy(ret->point, bytes, SIGN_POINT);
	return n == SIGN_POINT;
}

/* ---- secp256k1 ---- */

static bool k256_load(struct sign_key *key)
{
	return secp256k1_ec_pubkey_parse(
		secp256k1_context_static, (secp256k1_pubkey *)key->k256, key->point, SIGN_POINT);
}

/* The library refuses a high s by itself. */
static bool k256_verify(const struct sign_key *key, const uint8_t *digest, const uint8_t *signature)
{
	secp256k1_ecdsa_signature parsed;

	return secp256k1_ecdsa_signature_parse_compact(secp256k1_context_static, &parsed, signature) &&
		secp256k1_ecdsa_verify(
			secp256k1_context_static, &parsed, digest, (const secp256k1_pubkey *)key->k256);
}

/* ---- P-256 ---- */

static bool p256_load(struct sign_key *key)
{
	char group[] = "prime256v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group - 1),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, key->point, SIGN_POINT),
		OSSL_PARAM_END,
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *made = NULL;

	if (!ctx)
		abort();
	if (EVP_PKEY_fromdata_init(ctx) == 1 &&
		EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params) == 1) {
		key->p256 = EVP_PKEY_CTX_new(made, NULL);
		if (!key->p256 || EVP_PKEY_verify_init(key->p256) != 1)
			abort();
	}
	EVP_PKEY_free(made); /* the context holds it */
	EVP_PKEY_CTX_free(ctx);
	return key->p256 != NULL;
}

/* s is at most half the order. */
static bool p256_is_low(const uint8_t s[HALF])
{
	static const uint8_t half_order[HALF] = { 0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61,
		0x7e, 0x31, 0x92, 0xa8 };

	return memcmp(s, half_order, HALF) <= 0;
}

/* An INTEGER of DER: without leading zeros, but never with the sign bit set. */
static size_t der_integer(const uint8_t *half, uint8_t *out)
{
	size_t n = HALF, at = 0;

	for (; n > 1 && *half == 0; half++)
		n--;
	out[at++] = 0x02;
	out[at++] = (uint8_t)(n + (*half >> 7));
	if (*half >> 7)
		out[at++] = 0;
	memcpy(out + at, half, n);
	return at + n;
}

static bool p256_verify(const struct sign_key *key, const uint8_t *digest, const uint8_t *signature)
{
	uint8_t der[2 + 2 * (HALF + 3)];
	size_t n = 2;

	if (!p256_is_low(signature + HALF))
		return false;
	n += der_integer(signature, der + n);
	n += der_integer(signature + HALF, der + n);
	der[0] = 0x30;
	der[1] = (uint8_t)(n - 2);
	return EVP_PKEY_verify(key->p256, der, n, digest, CID_DIGEST) == 1;
}

/* ---- either ---- */

bool sign_key_load(struct sign_key *key)
{
	if (key->loaded)
		return true;
	if (key->curve == SIGN_K256)
		key->loaded = k256_load(key);
	else if (key->curve == SIGN_P256)
		key->loaded = p256_load(key);
	return key->loaded;
}

void sign_key_done(struct sign_key *key)
{
	EVP_PKEY_CTX_free(key->p256);
	key->p256 = NULL;
	key->loaded = false;
}

bool sign_verify(const struct sign_key *key, const uint8_t digest[CID_DIGEST], struct slice signature)
{
	assert(key->loaded);
	if (signature.n != SIGN_BYTES)
		return false;
	return key->curve == SIGN_K256 ? k256_verify(key, digest, signature.p) :
					 p256_verify(key, digest, signature.p);
}
