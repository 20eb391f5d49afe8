/* SPDX-License-Identifier: MIT */
#include "codec/car.h"
#include "base/buf.h"
#include "codec/cbor.h"
#include "tests/unit/tap.h"

#include <arpa/inet.h>

static const char header_one_root[] = "\xa2"
				      "\x65roots\x81\xd8\x2a\x58\x25\0";
static const char header_end[] = "\x67version\x01";

/* The CID of block. */
static struct cid cid_of(struct slice block)
{
	struct cid cid = {.codec = CID_DAG_CBOR};

	sha256(block, cid.digest);
	return cid;
}

static void put_cid(struct buf *out, const struct cid *cid)
{
	cid_to_bytes(cid, buf_room(out, CID_BYTES));
	out->n += CID_BYTES;
}

static void put_varint(struct buf *out, size_t n)
{
	for (; n > 0x7f; n >>= 7)
		buf_u8(out, (uint8_t)(n | 0x80));
	buf_u8(out, (uint8_t)n);
}

static void put_header(struct buf *out, const struct cid *root)
{
	const size_t n_start = sizeof header_one_root - 1, n_end = sizeof header_end - 1;

	put_varint(out, n_start + CID_BYTES + n_end);
	buf_add(out, header_one_root, n_start);
	put_cid(out, root);
	buf_add(out, header_end, n_end);
}

static void put_block(struct buf *out, struct slice block)
{
	struct cid cid = cid_of(block);

	put_varint(out, CID_BYTES + block.n);
	put_cid(out, &cid);
	buf_add_slice(out, block);
}

/* A CAR of three blocks, one of them empty and one long enough for a varint of two bytes. */
static void build(struct buf *out, struct slice blocks[3])
{
	static uint8_t of_200[200];
	struct cid root;

	memset(of_200, 0x5a, sizeof of_200);
	blocks[0] = slice_str("\xa1\x61\x61\x01");
	blocks[1] = slice_of("", 0);
	blocks[2] = slice_of(of_200, sizeof of_200);
	root = cid_of(blocks[0]);
	put_header(out, &root);
	for (size_t i = 0; i < 3; i++)
		put_block(out, blocks[i]);
}

static void test_reading(struct arena *scratch)
{
	struct buf bytes = BUF_INIT;
	struct slice blocks[3], block;
	struct cid cid, root;
	struct car car;

	build(&bytes, blocks);
	root = cid_of(blocks[0]);
	ok(car_open(buf_slice(&bytes), scratch, &car) == CAR_OK && cid_eq(&car.root, &root),
		"the root is read");
	for (size_t i = 0; i < 3; i++)
		ok(car_next(&car, &cid, &block) == CAR_OK && slice_eq(block, blocks[i]) &&
				cid_matches(&cid, block),
			"block %zu and its CID are read", i);
	ok(car_next(&car, &cid, &block) == CAR_END, "then there are no more");
	ok(car_next(&car, &cid, &block) == CAR_END, "however often one asks");
	ok(car_open(slice_of(NULL, 0), scratch, &car) == CAR_E_TRUNCATED, "no bytes are no CAR");
	buf_done(&bytes);
}

static void test_truncation(struct arena *scratch)
{
	struct buf bytes = BUF_INIT;
	struct slice blocks[3], block;
	size_t n_wrong = 0, n_whole = 0;
	struct cid cid;
	struct car car;

	build(&bytes, blocks);
	for (size_t n = 0; n < bytes.n; n++) {
		uint8_t *cut = memcpy(malloc(n ? n : 1), bytes.p, n);
		enum car_status r = car_open(slice_of(cut, n), scratch, &car);

		while (r == CAR_OK)
			r = car_next(&car, &cid, &block);
		n_whole += r == CAR_END;
		n_wrong += r != CAR_END && r != CAR_E_TRUNCATED;
		free(cut);
	}
	ok(n_wrong == 0, "a CAR cut anywhere is truncated (%zu are not)", n_wrong);
	ok(n_whole == 3, "unless it is cut between two sections (%zu)", n_whole);
	buf_done(&bytes);
}

#define ROOT                                                                                       \
	"\xd8\x2a\x58\x25\0\x01\x71\x12\x20"                                                       \
	"0123456789abcdef0123456789abcdef"
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* Headers without their varint. */
static const struct {
	const char *claim;
	struct {
		const char *p;
		size_t n;
	} header;
	enum car_status status;
} headers[] = {
	{"one root", BYTES("\xa2\x65roots\x81" ROOT "\x67version\x01"), CAR_OK},
	{"two roots", BYTES("\xa2\x65roots\x82" ROOT ROOT "\x67version\x01"), CAR_OK},
	{"no root", BYTES("\xa2\x65roots\x80\x67version\x01"), CAR_E_ROOTS},
	{"version 2", BYTES("\xa2\x65roots\x81" ROOT "\x67version\x02"), CAR_E_HEADER},
	{"version -2", BYTES("\xa2\x65roots\x81" ROOT "\x67version\x21"), CAR_E_HEADER},
	{"the pragma of version 2", BYTES("\xa1\x67version\x02"), CAR_E_HEADER},
	{"no version", BYTES("\xa1\x65roots\x81" ROOT), CAR_E_HEADER},
	{"a third key", BYTES("\xa3\x61x\x01\x65roots\x81" ROOT "\x67version\x01"), CAR_E_HEADER},
	{"another key for roots", BYTES("\xa2\x65rootz\x81" ROOT "\x67version\x01"), CAR_E_HEADER},
	{"another key for version", BYTES("\xa2\x65roots\x81" ROOT "\x67versiom\x01"),
		CAR_E_HEADER},
	{"null roots", BYTES("\xa2\x65roots\xf6\x67version\x01"), CAR_E_HEADER},
	{"a root that is text", BYTES("\xa2\x65roots\x81\x61x\x67version\x01"), CAR_E_HEADER},
	{"keys out of order", BYTES("\xa2\x67version\x01\x65roots\x81" ROOT), CAR_E_HEADER},
	{"no CBOR", BYTES("\xff"), CAR_E_HEADER},
	{"nothing", BYTES(""), CAR_E_HEADER},
	{"two items", BYTES("\xa2\x65roots\x81" ROOT "\x67version\x01\x00"), CAR_E_HEADER},
};

static void test_headers(struct arena *scratch)
{
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		struct buf bytes = BUF_INIT;
		enum car_status r;
		struct car car;

		put_varint(&bytes, headers[i].header.n);
		buf_add(&bytes, headers[i].header.p, headers[i].header.n);
		r = car_open(buf_slice(&bytes), scratch, &car);
		ok(r == headers[i].status, "header with %s: %s", headers[i].claim,
			car_status_name(r));
		buf_done(&bytes);
	}
}

/* Sections as they follow a header. */
static const struct {
	const char *claim;
	struct {
		const char *p;
		size_t n;
	} section;
	enum car_status status;
} sections[] = {
	{"a length behind the end", BYTES("\x40short"), CAR_E_TRUNCATED},
	{"an unfinished varint", BYTES("\x80"), CAR_E_TRUNCATED},
	{"a length of 2^63-1",
		BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
		      "x"),
		CAR_E_TRUNCATED},
	{"a varint of ten bytes", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), CAR_E_VARINT},
	{"nine bytes that want a tenth", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		CAR_E_VARINT},
	{"a varint with a useless last byte",
		BYTES("\x81\x00"
		      "x"),
		CAR_E_VARINT},
	{"no room for a CID", BYTES("\x03\x01\x71\x12"), CAR_E_CID},
	{"no bytes at all", BYTES("\x00"), CAR_E_CID},
	{"a CID of version 0",
		BYTES("\x24\x12\x20"
		      "0123456789abcdef0123456789abcdefxx"),
		CAR_E_CID},
	{"a dag-pb CID",
		BYTES("\x24\x01\x70\x12\x20"
		      "0123456789abcdef0123456789abcdef"),
		CAR_E_CID},
};

static void test_sections(struct arena *scratch)
{
	for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
		struct cid cid = cid_of(slice_str("root"));
		struct buf bytes = BUF_INIT;
		struct slice block;
		enum car_status r;
		struct car car;

		put_header(&bytes, &cid);
		buf_add(&bytes, sections[i].section.p, sections[i].section.n);
		r = car_open(buf_slice(&bytes), scratch, &car);
		if (r == CAR_OK)
			r = car_next(&car, &cid, &block);
		ok(r == sections[i].status, "section with %s: %s", sections[i].claim,
			car_status_name(r));
		ok(car_next(&car, &cid, &block) == r, "and it stays so");
		buf_done(&bytes);
	}
}

/* The `blocks` of a frame that is a commit, or no bytes. */
static struct slice blocks_of(struct slice frame, struct arena *scratch)
{
	struct slice body;
	struct cbor_item item;
	size_t n_header = 0;

	if (cbor_check_first(frame, scratch, &n_header))
		return slice_of(NULL, 0);
	body = slice_of(frame.p + n_header, frame.n - n_header);
	if (cbor_path(frame, "t", &item, NULL) || !slice_is(item.s, "#commit") ||
		cbor_check(body, scratch) || cbor_path(body, "blocks", &item, NULL))
		return slice_of(NULL, 0);
	return item.s;
}

/* Walks a CAR of a frame; true if every block matches its CID and the root is among them. */
static bool whole(struct slice bytes, struct arena *scratch, size_t *n_blocks)
{
	bool root_seen = false;
	struct slice block;
	enum car_status r;
	struct car car;
	struct cid cid;

	if (car_open(bytes, scratch, &car))
		return false;
	while ((r = car_next(&car, &cid, &block)) == CAR_OK) {
		++*n_blocks;
		root_seen |= cid_eq(&cid, &car.root);
		if (!cid_matches(&cid, block) || cbor_check(block, scratch))
			return false;
	}
	return r == CAR_END && root_seen;
}

static void test_frames(const char *file, struct arena *scratch)
{
	size_t n_cars = 0, n_blocks = 0, n_wrong = 0;
	struct buf frame = BUF_INIT;
	char path[4096];
	uint32_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s/frames/%s", shared_dir(), file);
	f = fopen(path, "r");
	while (f && fread(&n, sizeof n, 1, f) == 1) {
		struct slice car;

		buf_reset(&frame);
		frame.n = fread(buf_room(&frame, ntohl(n)), 1, ntohl(n), f);
		car = blocks_of(buf_slice(&frame), scratch);
		if (car.n) {
			n_cars++;
			n_wrong += !whole(car, scratch, &n_blocks);
		}
		arena_reset(scratch);
	}
	if (f)
		fclose(f);
	ok(n_cars > 1000 && n_wrong == 0, "%s: all of %zu CARs whole, %zu blocks valid (%zu wrong)",
		file, n_cars, n_blocks, n_wrong);
	buf_done(&frame);
}

/* Walks damaged bytes to whatever end; true if it stayed inside them. */
static bool stays_inside(struct slice s, struct arena *scratch)
{
	struct car car;
	struct cid cid;
	struct slice block;

	if (car_open(s, scratch, &car))
		return true;
	while (car_next(&car, &cid, &block) == CAR_OK)
		if (block.p < s.p || block.p + block.n > s.p + s.n)
			return false;
	return true;
}

static void test_damage(struct arena *scratch)
{
	struct buf bytes = BUF_INIT;
	struct slice blocks[3];
	size_t n_wrong = 0;
	unsigned seed = 20260601;

	build(&bytes, blocks);
	for (int i = 0; i < 20000; i++) {
		size_t n = 1 + (size_t)rand_r(&seed) % bytes.n;
		uint8_t *p = memcpy(malloc(n), bytes.p, n);

		for (int k = rand_r(&seed) % 4; k > 0; k--)
			p[(size_t)rand_r(&seed) % n] ^= (uint8_t)(1 << rand_r(&seed) % 8);
		n_wrong += !stays_inside(slice_of(p, n), scratch);
		arena_reset(scratch);
		free(p);
	}
	ok(n_wrong == 0, "20000 damaged CARs: no block reaches outside the bytes");
	buf_done(&bytes);
}

int main(void)
{
	struct arena scratch = ARENA_INIT;

	test_reading(&scratch);
	test_truncation(&scratch);
	test_headers(&scratch);
	test_sections(&scratch);
	test_damage(&scratch);
	if (shared_dir()) {
		test_frames("pds.frames", &scratch);
		test_frames("synth.frames", &scratch);
	} else {
		skip("no recorded frames: STANDPIPE_SHARED is not set");
	}
	arena_done(&scratch);
	return done();
}
