/* SPDX-License-Identifier: MIT */
/* The one-shot API of OpenSSL 3 costs several times the hash itself; the older one keeps the state after
 * the pads in a plain struct that can be copied. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "domain/ident.h"

#include "codec/tid.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof((struct ident){ 0 }.inner), "state fits");

enum { KEY_BYTES = 32, BLOCK_BYTES = 64 };

/* Value of a hex digit, -1 if it is none. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The state after one block of key XOR pad. */
static void pad_state(const uint8_t *key, uint8_t pad, void *ret_state)
{
	uint8_t block[BLOCK_BYTES];
	SHA256_CTX ctx;

	memset(block, pad, sizeof block);
	for (int i = 0; i < KEY_BYTES; i++)
		block[i] ^= key[i];
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, block, sizeof block);
	memcpy(ret_state, &ctx, sizeof ctx);
}

int ident_init(struct ident *id, const char *hex, struct err *err)
{
	uint8_t key[KEY_BYTES];

	if (strlen(hex) != (size_t)2 * KEY_BYTES)
		return err_set(err, "installation key: %zu characters instead of 64", strlen(hex));
	for (int i = 0; i < KEY_BYTES; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return err_set(err, "installation key: not hexadecimal");
		key[i] = (uint8_t)(high << 4 | low);
	}
	pad_state(key, 0x36, id->inner);
	pad_state(key, 0x5c, id->outer);
	return 0;
}

/* First 8 bytes of HMAC-SHA256, big-endian. */
static uint64_t keyed_hash(const struct ident *id, struct slice s)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint64_t v = 0;
	SHA256_CTX ctx;

	memcpy(&ctx, id->inner, sizeof ctx);
	SHA256_Update(&ctx, s.p, s.n);
	SHA256_Final(digest, &ctx);
	memcpy(&ctx, id->outer, sizeof ctx);
	SHA256_Update(&ctx, digest, sizeof digest);
	SHA256_Final(digest, &ctx);
	for (int i = 0; i < 8; i++)
		v = v << 8 | digest[i];
	return v;
}

int64_t ident_actor(const struct ident *id, struct slice did)
{
	return (int64_t)(keyed_hash(id, did) >> 1);
}

int64_t ident_rkey(const struct ident *id, struct slice rkey)
{
	uint64_t tid;

	if (tid_parse(rkey, &tid) && tid <= INT64_MAX)
		return (int64_t)tid;
	return -1 - (int64_t)(keyed_hash(id, rkey) >> 2);
}
