/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"

#include "codec/car.h"
#include "codec/cbor.h"
#include "tests/relay/cbor_write.h"
#include "tests/relay/faults.h"
#include "tests/relay/wire.h"

#include <secp256k1.h>

static const uint8_t key[SIGN_KEY] = {1, 2, 3};
static const struct wire_head head = {
	"did:plc:abcdefghijklmnopqrstuvwx", 31000000001, "2026-01-01T00:00:00.000Z"};

static void check_numbers(void)
{
	static const uint64_t numbers[] = {0, 23, 24, 255, 256, 65535, 65536, UINT32_MAX,
		(uint64_t)UINT32_MAX + 1, UINT64_MAX};
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;
	size_t n_wrong = 0;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		struct cbor_item item = {0};
		struct cbor c;

		buf_reset(&out);
		cbor_write_uint(&out, numbers[i]);
		c = cbor_over(buf_slice(&out));
		n_wrong += cbor_check(buf_slice(&out), &arena) != CBOR_OK ||
			   cbor_next(&c, &item) != CBOR_OK || item.type != CBOR_UINT ||
			   item.n != numbers[i];
	}
	ok(!n_wrong, "integers at every length boundary are strict and read back");
	buf_done(&out);
	arena_done(&arena);
}

/* True if it is exactly two strict objects. */
static bool strict(struct slice frame)
{
	struct arena arena = ARENA_INIT;
	size_t n = 0;
	bool good = cbor_check_first(frame, &arena, &n) == CBOR_OK &&
		    cbor_check(slice_of(frame.p + n, frame.n - n), &arena) == CBOR_OK;

	arena_done(&arena);
	return good;
}

static void check_types(void)
{
	struct buf out = BUF_INIT;

	wire_identity(&out, &head, "a.example.com");
	ok(strict(buf_slice(&out)), "#identity is strict DAG-CBOR");
	buf_reset(&out);
	wire_account(&out, &head, false, "takendown");
	ok(strict(buf_slice(&out)), "#account with status is strict DAG-CBOR");
	buf_reset(&out);
	wire_account(&out, &head, true, NULL);
	ok(strict(buf_slice(&out)), "#account without status is strict DAG-CBOR");
	buf_reset(&out);
	wire_sync(&out, &head, 1 << 20, slice_str("x"));
	ok(strict(buf_slice(&out)), "#sync is strict DAG-CBOR");
	buf_reset(&out);
	wire_unknown(&out, &head);
	ok(strict(buf_slice(&out)), "a frame of unknown type is strict DAG-CBOR");
	buf_done(&out);
}

/* A commit of one record, whose CID is returned. */
static void put_commit(struct buf *out, struct cid *ret_record)
{
	struct signer signer;
	struct buf car = BUF_INIT, block = BUF_INIT, record = BUF_INIT;
	uint8_t commit_cid[CID_DIGEST], data[CID_DIGEST] = {7};
	struct wire_op op = {.action = WIRE_CREATE, .path = "a.b.c/self"};
	struct wire_commit commit = {.rev = 1 << 20, .commit = commit_cid, .ops = &op, .n_ops = 1};

	cbor_write_map(&record, 1);
	cbor_write_pair(&record, "text", "hello");
	sha256(buf_slice(&record), op.cid);
	signer_init(&signer);
	wire_commit_block(&block, head.did, commit.rev, data, &signer, key, commit_cid);
	wire_car_header(&car, commit_cid);
	wire_car_block(&car, commit_cid, buf_slice(&block));
	wire_car_block(&car, op.cid, buf_slice(&record));
	commit.blocks = buf_slice(&car);
	wire_commit(out, &head, &commit);
	*ret_record = (struct cid){.codec = CID_DAG_CBOR};
	memcpy(ret_record->digest, op.cid, CID_DIGEST);
	signer_done(&signer);
	buf_done(&car);
	buf_done(&block);
	buf_done(&record);
}

/* Finds a block in a frame's CAR; returns whether its hash is right. */
static bool find_block(struct slice frame, const struct cid *wanted, struct slice *ret_block)
{
	struct arena arena = ARENA_INIT;
	struct cbor c = cbor_over(frame);
	struct cbor_item blocks;
	struct cid cid;
	struct car car;
	bool found = false;

	if (cbor_skip(&c) == CBOR_OK &&
		cbor_path(slice_of(c.p, (size_t)(c.end - c.p)), "blocks", &blocks, NULL) ==
			CBOR_OK &&
		car_open(blocks.s, &arena, &car) == CAR_OK)
		while (!found && car_next(&car, &cid, ret_block) == CAR_OK)
			found = cid_eq(&cid, wanted ? wanted : &car.root);
	arena_done(&arena);
	return found && cid_matches(&cid, *ret_block);
}

/* The signature covers the commit block without `sig`: its bytes are cut out and the map made
 * smaller. */
static bool signature_good(struct slice commit)
{
	secp256k1_context *context =
		secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
	secp256k1_ecdsa_signature signature;
	secp256k1_pubkey pubkey;
	struct cbor_item sig;
	struct slice sig_bytes;
	struct buf unsigned_commit = BUF_INIT;
	uint8_t digest[CID_DIGEST];
	const uint8_t *start;
	bool good;

	if (cbor_path(commit, "sig", &sig, &sig_bytes) != CBOR_OK || sig.s.n != SIGN_BYTES)
		return false;
	start = sig_bytes.p - strlen("\x63sig");
	buf_add(&unsigned_commit, commit.p, (size_t)(start - commit.p));
	unsigned_commit.p[0]--;
	buf_add(&unsigned_commit, sig_bytes.p + sig_bytes.n,
		(size_t)(commit.p + commit.n - (sig_bytes.p + sig_bytes.n)));
	sha256(buf_slice(&unsigned_commit), digest);
	/* secp256k1_ecdsa_verify refuses high-S. */
	good = secp256k1_ec_pubkey_create(context, &pubkey, key) &&
	       secp256k1_ecdsa_signature_parse_compact(context, &signature, sig.s.p) &&
	       secp256k1_ecdsa_verify(context, &signature, digest, &pubkey);
	secp256k1_context_destroy(context);
	buf_done(&unsigned_commit);
	return good;
}

static void check_commit(void)
{
	struct buf frame = BUF_INIT, bad = BUF_INIT;
	struct slice block;
	struct cid record;
	size_t n_different = 0;

	put_commit(&frame, &record);
	ok(strict(buf_slice(&frame)), "#commit is strict DAG-CBOR");
	ok(find_block(buf_slice(&frame), NULL, &block),
		"its CAR begins with the commit, which hashes right");
	ok(signature_good(block), "the signature is valid and low-S");
	ok(find_block(buf_slice(&frame), &record, &block),
		"the record is in the CAR and hashes right");

	ok(fault_corrupt(&bad, buf_slice(&frame)) && bad.n == frame.n, "a frame can be corrupted");
	for (size_t i = 0; i < bad.n && i < frame.n; i++)
		n_different += bad.p[i] != frame.p[i];
	ok(n_different == 1 && strict(buf_slice(&bad)),
		"then one byte differs and the frame still parses");
	ok(!find_block(buf_slice(&bad), &record, &block) &&
			find_block(buf_slice(&bad), NULL, &block),
		"then the record's hash is wrong, the commit's right");
	buf_reset(&bad);
	buf_reset(&frame);
	wire_identity(&frame, &head, "a.example.com");
	ok(!fault_corrupt(&bad, buf_slice(&frame)) && bad.n == 0,
		"a frame without a record is left alone");
	buf_done(&frame);
	buf_done(&bad);
}

static void check_multibase(void)
{
	struct buf out = BUF_INIT;
	struct signer signer;
	static const uint8_t one[SIGN_KEY] = {[SIGN_KEY - 1] = 1};

	signer_init(&signer);
	sign_multibase(&signer, one, &out);
	ok(strcmp(buf_str(&out), "zQ3shVc2UkAfJCdc1TR8E66J85h48P43r93q8jGPkPpjF9Ef9") == 0,
		"the public key of secret 1 has its known multibase form (%s)", buf_str(&out));
	signer_done(&signer);
	buf_done(&out);
}

static void check_faults(void)
{
	struct fault_plan plan = {.times = 2};
	struct err err;
	size_t at = 0;
	bool added = fault_add(&plan, (struct fault){.kind = FAULT_BAD, .seq = 10}, &err) == 0;

	ok(added && !fault_next(&plan, &at, 8, 9) && !(at = 0) && !fault_next(&plan, &at, 10, 11),
		"a fault is not due before or behind its seq");
	at = 0;
	ok(fault_next(&plan, &at, 9, 12) && !fault_next(&plan, &at, 9, 12),
		"it is due once per passing, also in a gap");
	at = 0;
	ok(fault_next(&plan, &at, 9, 10) && !(at = 0) && !fault_next(&plan, &at, 9, 10),
		"and as often as asked");
}

int main(void)
{
	check_numbers();
	check_types();
	check_commit();
	check_multibase();
	check_faults();
	return done();
}
