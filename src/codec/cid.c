/* SPDX-License-Identifier: MIT */
#include "codec/cid.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* Version 1; then the codec; then SHA-256 and its length. */
enum { VERSION = 0x01, SHA2_256 = 0x12 };

static const char base32[32] = "abcdefghijklmnopqrstuvwxyz234567";

bool cid_from_bytes(struct slice s, struct cid *ret_cid)
{
	if (s.n != CID_BYTES || s.p[0] != VERSION || s.p[2] != SHA2_256 || s.p[3] != CID_DIGEST)
		return false;
	if (s.p[1] != CID_DAG_CBOR && s.p[1] != CID_RAW)
		return false;
	ret_cid->codec = s.p[1];
	memcpy(ret_cid->digest, s.p + 4, CID_DIGEST);
	return true;
}

/* Value of a base32 digit, or negative. */
static int base32_value(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

bool cid_from_text(struct slice s, struct cid *ret_cid)
{
	uint8_t bytes[CID_BYTES];
	size_t n = 0;
	unsigned bits = 0, n_bits = 0;

	if (s.n != CID_TEXT || s.p[0] != 'b')
		return false;
	for (size_t i = 1; i < s.n; i++) {
		int v = base32_value(s.p[i]);

		if (v < 0)
			return false;
		bits = (bits << 5 | (unsigned)v) & 0xfff;
		n_bits += 5;
		if (n_bits >= 8) {
			n_bits -= 8;
			bytes[n++] = (uint8_t)(bits >> n_bits);
		}
	}
	/* 58 digits are 36 bytes and two bits, which must be zero: one text per CID */
	if (bits & 3)
		return false;
	return cid_from_bytes(slice_of(bytes, n), ret_cid);
}

void cid_to_bytes(const struct cid *cid, uint8_t ret_bytes[CID_BYTES])
{
	ret_bytes[0] = VERSION;
	ret_bytes[1] = cid->codec;
	ret_bytes[2] = SHA2_256;
	ret_bytes[3] = CID_DIGEST;
	memcpy(ret_bytes + 4, cid->digest, CID_DIGEST);
}

void cid_to_text(const struct cid *cid, char ret_text[CID_TEXT + 1])
{
	uint8_t bytes[CID_BYTES];
	char *out = ret_text;
	unsigned bits = 0, n_bits = 0;

	cid_to_bytes(cid, bytes);
	*out++ = 'b';
	for (size_t i = 0; i < CID_BYTES; i++) {
		bits = (bits << 8 | bytes[i]) & 0xfff;
		for (n_bits += 8; n_bits >= 5; n_bits -= 5)
			*out++ = base32[bits >> (n_bits - 5) & 31];
	}
	*out++ = base32[bits << (5 - n_bits) & 31];
	*out = 0;
}

bool cid_eq(const struct cid *a, const struct cid *b)
{
	return a->codec == b->codec && memcmp(a->digest, b->digest, CID_DIGEST) == 0;
}

/* A context that is set up for SHA-256; aborts if OpenSSL cannot: there is no way on from there. */
static EVP_MD_CTX *sha256_context(void)
{
	EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!md || !ctx || EVP_DigestInit_ex(ctx, md, NULL) != 1)
		abort();
	EVP_MD_free(md); /* the context holds it */
	return ctx;
}

void sha256(struct slice s, uint8_t ret_digest[CID_DIGEST])
{
	/* A mutable static: fetching the algorithm and making a context costs more than hashing a
	 * record, every process is single threaded, and it holds nothing between calls. */
	static EVP_MD_CTX *ctx;

	if (!ctx)
		ctx = sha256_context();
	if (EVP_DigestInit_ex(ctx, NULL, NULL) != 1 || EVP_DigestUpdate(ctx, s.p, s.n) != 1 ||
		EVP_DigestFinal_ex(ctx, ret_digest, NULL) != 1)
		abort();
}

bool cid_matches(const struct cid *cid, struct slice block)
{
	uint8_t digest[CID_DIGEST];

	sha256(block, digest);
	return memcmp(digest, cid->digest, CID_DIGEST) == 0;
}
