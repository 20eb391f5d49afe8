/* SPDX-License-Identifier: MIT
 *
 * Keys and signatures: the interop vectors, every bit of a signature, and texts that are no keys.
 */
#include "tests/unit/tap.h"

#include "base/buf.h"
#include "codec/sign.h"

#include <jansson.h>
#include <openssl/evp.h>

static json_t *load(const char *name)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/%s", shared_dir(), name);
	return json_load_file(path, 0, NULL);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Base64 without padding. */
static struct slice base64(const char *text, uint8_t *bytes)
{
	char padded[512];
	size_t n = strlen(text);
	int n_bytes;

	snprintf(padded, sizeof padded, "%s%.*s", text, (int)((4 - n % 4) % 4), "===");
	n_bytes = EVP_DecodeBlock(bytes, (const uint8_t *)padded, (int)strlen(padded));
	return slice_of(bytes, n_bytes < 0 ? 0 : (size_t)n_bytes - (4 - n % 4) % 4);
}

static enum sign_curve curve_of(const char *suite)
{
	return strcmp(suite, "EcdsaSecp256r1VerificationKey2019") ? SIGN_K256 : SIGN_P256;
}

/* How many single-bit changes of signature or digest still verify. */
static int accepted_flips(const struct sign_key *key, uint8_t digest[CID_DIGEST], const uint8_t *signature)
{
	uint8_t changed[SIGN_BYTES];
	int n = 0;

	for (unsigned bit = 0; bit < 8 * SIGN_BYTES; bit++) {
		memcpy(changed, signature, SIGN_BYTES);
		changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		n += sign_verify(key, digest, slice_of(changed, SIGN_BYTES));
	}
	for (unsigned bit = 0; bit < 8 * CID_DIGEST; bit++) {
		digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
		n += sign_verify(key, digest, slice_of(signature, SIGN_BYTES));
		digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	return n;
}

static void check_signature(const json_t *row)
{
	uint8_t message[256], signature[256], digest[CID_DIGEST];
	struct slice sig = base64(text_of(row, "signatureBase64"), signature);
	bool wanted = json_is_true(json_object_get(row, "validSignature"));
	const char *comment = text_of(row, "comment");
	struct sign_key key, old;

	sha256(base64(text_of(row, "messageBase64"), message), digest);
	ok(sign_key_from_did(slice_str(text_of(row, "publicKeyDid")), &key) && sign_key_load(&key) &&
			sign_key_from_legacy(curve_of(text_of(row, "didDocSuite")),
				slice_str(text_of(row, "publicKeyMultibase")), &old) &&
			old.curve == key.curve && memcmp(old.point, key.point, SIGN_POINT) == 0,
		"%s: both forms of the key are the same key", comment);
	ok(sign_verify(&key, digest, sig) == wanted, "%s: %s", comment, wanted ? "fits" : "does not fit");
	if (wanted)
		ok(accepted_flips(&key, digest, signature) == 0, "%s: with any bit changed it does not fit", comment);
	sign_key_done(&key);
}

static void check_signatures(void)
{
	json_t *rows = load("crypto/signature-fixtures.json"), *row;
	size_t i;

	ok(json_array_size(rows) == 6, "there are 6 signatures");
	json_array_foreach(rows, i, row) check_signature(row);
	json_decref(rows);
}

static void check_keys(const char *name, enum sign_curve curve)
{
	json_t *rows = load(name), *row;
	size_t i, n_wrong = 0;

	json_array_foreach(rows, i, row)
	{
		struct sign_key key;

		n_wrong += !sign_key_from_did(slice_str(text_of(row, "publicDidKey")), &key) || key.curve != curve ||
			!sign_key_load(&key);
		sign_key_done(&key);
	}
	ok(json_array_size(rows) && !n_wrong, "%s: %zu keys load", name, json_array_size(rows));
	json_decref(rows);
}

static bool is_key(const char *text)
{
	struct sign_key key;

	return sign_key_from_multikey(slice_str(text), &key);
}

static void check_texts(void)
{
	struct sign_key key = { .curve = SIGN_P256, .point = { 2 } };
	char text[] = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";
	int n_other = 0;

	ok(is_key(text), "a multikey is a key");
	ok(!is_key("") && !is_key("z") && !is_key("Q3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"),
		"nothing, a bare z, and another base are none");
	ok(!is_key("zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBm0") && !is_key("z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"),
		"another alphabet and another curve (ed25519) are none");
	ok(!is_key("z1Q3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"), "a leading zero byte is no codec");
	memset(text + 1, 'z', sizeof text - 2);
	ok(!is_key(text), "a number too large for a key is none");
	memset(key.point + 1, 0xff, SIGN_POINT - 1);
	ok(!sign_key_load(&key), "a point beyond the field does not load on P-256");
	key.curve = SIGN_K256;
	ok(!sign_key_load(&key), "nor on secp256k1");
	for (uint8_t c = 1; c < 255; c++) {
		char one[] = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";

		one[20] = (char)c;
		n_other += sign_key_from_multikey(slice_str(one), &key) && one[20] != 'Q';
	}
	ok(n_other <= 58, "only base58 digits are digits");
}

int main(void)
{
	check_texts();
	if (shared_dir()) {
		check_signatures();
		check_keys("crypto/w3c_didkey_K256.json", SIGN_K256);
		check_keys("crypto/w3c_didkey_P256.json", SIGN_P256);
	} else {
		skip("no interop vectors here");
	}
	return done();
}
