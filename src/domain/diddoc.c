/* SPDX-License-Identifier: MIT */
#include "domain/diddoc.h"

#include "base/buf.h"
#include "codec/cbor.h"
#include "codec/json.h"
#include "codec/syntax.h"

enum { MAX_ENDPOINT = 512 };

/* Members of an array, one after the other. */
struct members {
	struct cbor at;
	uint64_t n_left;
};

static struct members members_of(struct slice map, const char *name)
{
	struct cbor_item head;
	struct slice bytes;

	if (cbor_path(map, name, &head, &bytes) || head.type != CBOR_ARRAY)
		return (struct members){ 0 };
	struct members m = { cbor_over(bytes), head.n };
	if (cbor_next(&m.at, &head))
		m.n_left = 0;
	return m;
}

static bool next_member(struct members *m, struct slice *ret)
{
	const uint8_t *begin = m->at.p;

	if (!m->n_left || cbor_skip(&m->at))
		return false;
	m->n_left--;
	*ret = slice_of(begin, (size_t)(m->at.p - begin));
	return true;
}

/* A text member, empty if there is none. */
static struct slice text_of(struct slice map, const char *name)
{
	struct cbor_item item;

	if (cbor_path(map, name, &item, NULL) || item.type != CBOR_TEXT)
		return slice_of(NULL, 0);
	return item.s;
}

/* "#name", or the DID before it. */
static bool is_named(struct slice id, struct slice did, const char *name)
{
	if (id.n > did.n && memcmp(id.p, did.p, did.n) == 0)
		id = slice_of(id.p + did.n, id.n - did.n);
	return slice_is(id, name);
}

/* How each type of verification method writes its key. */
static bool read_key(struct slice method, struct sign_key *ret)
{
	static const struct {
		const char *type;
		enum sign_curve curve; /* SIGN_NONE: the key says */
	} types[] = {
		{ "Multikey", SIGN_NONE },
		{ "EcdsaSecp256k1VerificationKey2019", SIGN_K256 },
		{ "EcdsaSecp256r1VerificationKey2019", SIGN_P256 },
	};
	struct slice type = text_of(method, "type"), text = text_of(method, "publicKeyMultibase");

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (slice_is(type, types[i].type))
			return types[i].curve == SIGN_NONE ? sign_key_from_multikey(text, ret) :
							     sign_key_from_legacy(types[i].curve, text, ret);
	return false;
}

static void find_key(struct slice doc, struct slice did, struct diddoc *ret)
{
	struct members methods = members_of(doc, "verificationMethod");
	struct sign_key key = { 0 };
	struct slice method;

	while (next_member(&methods, &method)) {
		if (!is_named(text_of(method, "id"), did, "#atproto"))
			continue;
		if (read_key(method, &key) && sign_key_load(&key)) {
			ret->key.curve = key.curve;
			memcpy(ret->key.point, key.point, SIGN_POINT);
		}
		sign_key_done(&key);
		return;
	}
}

static void find_pds(struct slice doc, struct slice did, struct diddoc *ret)
{
	struct members services = members_of(doc, "service");
	struct slice service;

	while (next_member(&services, &service)) {
		if (!is_named(text_of(service, "id"), did, "#atproto_pds"))
			continue;
		if (slice_is(text_of(service, "type"), "AtprotoPersonalDataServer"))
			ret->pds = text_of(service, "serviceEndpoint");
		if (ret->pds.n > MAX_ENDPOINT)
			ret->pds = slice_of(NULL, 0);
		return;
	}
}

static void find_handle(struct slice doc, struct diddoc *ret)
{
	static const char scheme[] = "at://";
	size_t n = sizeof scheme - 1;
	struct members names = members_of(doc, "alsoKnownAs");
	struct cbor_item item;
	struct slice name;

	while (next_member(&names, &name)) {
		struct cbor c = cbor_over(name);

		if (cbor_next(&c, &item) || item.type != CBOR_TEXT || item.s.n <= n || memcmp(item.s.p, scheme, n) != 0)
			continue;
		name = slice_of(item.s.p + n, item.s.n - n);
		if (handle_valid(name)) {
			ret->handle = name;
			return;
		}
	}
}

int diddoc_parse(struct slice json, struct slice did, struct arena *arena, struct diddoc *ret, struct err *err)
{
	struct buf cbor = BUF_INIT;
	struct slice doc;

	*ret = (struct diddoc){ 0 };
	if (json_to_cbor(json, arena, &cbor)) {
		buf_done(&cbor);
		return err_set(err, "not JSON");
	}
	doc = arena_copy(arena, buf_slice(&cbor));
	buf_done(&cbor);
	if (!slice_eq(text_of(doc, "id"), did))
		return err_set(err, "not the document of this DID");
	find_key(doc, did, ret);
	find_pds(doc, did, ret);
	find_handle(doc, ret);
	return 0;
}
