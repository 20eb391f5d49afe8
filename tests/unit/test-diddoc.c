/* SPDX-License-Identifier: MIT
 *
 * DID documents: the forms a key may have, and what is no document of the DID asked for.
 */
#include "tests/unit/tap.h"

#include "domain/diddoc.h"

#define DID "did:plc:j3tzahil5n2qx2a4krdjlxsa"
#define K256 "zQ3shksUuQpEEeWh57M9Arm6LPudYGWzMckK8mVwKTuS2aymu"
#define P256 "zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo"
#define P256_OLD "zxdM8dSstjrpZaRUwBmDvjGXweKuEMVN95A9oJBFjkWMh"
#define METHOD(id, type, key) "{\"id\":\"" id "\",\"type\":\"" type "\",\"publicKeyMultibase\":\"" key "\"}"
#define DOC(id, methods, more) "{\"id\":\"" id "\",\"verificationMethod\":[" methods "]" more "}"

static const struct {
	const char *claim, *json;
	int status;
	uint8_t curve;
} docs[] = {
	{ "a Multikey on secp256k1", DOC(DID, METHOD(DID "#atproto", "Multikey", K256), ""), 0, SIGN_K256 },
	{ "a Multikey on P-256", DOC(DID, METHOD(DID "#atproto", "Multikey", P256), ""), 0, SIGN_P256 },
	{ "a relative id", DOC(DID, METHOD("#atproto", "Multikey", K256), ""), 0, SIGN_K256 },
	{ "the older type", DOC(DID, METHOD("#atproto", "EcdsaSecp256r1VerificationKey2019", P256_OLD), ""), 0, SIGN_P256 },
	{ "the first #atproto counts, behind others",
		DOC(DID, METHOD("#other", "Multikey", P256) "," METHOD("#atproto", "Multikey", K256) "," METHOD(
				 "#atproto", "Multikey", P256), ""), 0, SIGN_K256 },
	{ "another method's name is not it", DOC(DID, METHOD("#atproto_label", "Multikey", K256), ""), 0, SIGN_NONE },
	{ "another DID's key is not it", DOC(DID, METHOD("did:plc:other#atproto", "Multikey", K256), ""), 0, SIGN_NONE },
	{ "an unknown type is no key", DOC(DID, METHOD("#atproto", "Ed25519VerificationKey2020", K256), ""), 0, SIGN_NONE },
	{ "a damaged key is none", DOC(DID, METHOD("#atproto", "Multikey", "zQ3sh"), ""), 0, SIGN_NONE },
	{ "a point that is not on the curve is no key", DOC(DID, METHOD("#atproto", "EcdsaSecp256k1VerificationKey2019",
		"zQ3shksUuQpEEeWh57M9Arm6LPudYGWzMckK8mVwKTuS2aymu"), ""), 0, SIGN_NONE },
	{ "no method, no key", "{\"id\":\"" DID "\"}", 0, SIGN_NONE },
	{ "methods that are no array", "{\"id\":\"" DID "\",\"verificationMethod\":{}}", 0, SIGN_NONE },
	{ "a document of another DID", DOC("did:plc:other", METHOD("#atproto", "Multikey", K256), ""), -1, SIGN_NONE },
	{ "a document without an id", "{}", -1, SIGN_NONE },
	{ "no object", "[]", -1, SIGN_NONE },
	{ "no JSON", "<html>", -1, SIGN_NONE },
};

static void check_names(void)
{
	static const char json[] = DOC(DID, "", ",\"alsoKnownAs\":[1,\"https://x\",\"at://no_handle\",\"at://a.example\","
		"\"at://b.example\"],\"service\":[{\"id\":\"#atproto_pds\",\"type\":\"AtprotoPersonalDataServer\","
		"\"serviceEndpoint\":\"https://pds.example\"}]");
	struct arena arena = ARENA_INIT;
	struct diddoc doc;
	struct err err;

	ok(diddoc_parse(slice_str(json), slice_str(DID), &arena, &doc, &err) == 0 && slice_is(doc.handle, "a.example") &&
			slice_is(doc.pds, "https://pds.example"),
		"the first valid at:// name is the handle, the service its host");
	arena_done(&arena);
}

int main(void)
{
	for (size_t i = 0; i < sizeof docs / sizeof docs[0]; i++) {
		struct arena arena = ARENA_INIT;
		struct diddoc doc;
		struct err err;
		int status = diddoc_parse(slice_str(docs[i].json), slice_str(DID), &arena, &doc, &err);

		ok(status == docs[i].status && doc.key.curve == docs[i].curve, "%s", docs[i].claim);
		arena_done(&arena);
	}
	check_names();
	return done();
}
