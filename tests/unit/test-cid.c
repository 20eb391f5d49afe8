/* SPDX-License-Identifier: MIT */
#include "codec/cid.h"
#include "tests/unit/tap.h"

#include <jansson.h>

/* Text beside binary: a dag-cbor and a raw CID. */
static const struct {
	const char *text;
	uint8_t bytes[CID_BYTES];
} pairs[] = {
	{"bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a",
		{0x01, 0x71, 0x12, 0x20, 0x65, 0x06, 0x2a, 0x5a, 0x5a, 0x00, 0xfc, 0x16, 0xd7, 0x3c,
			0x69, 0x44, 0x23, 0x7c, 0xcb, 0xc1, 0x5b, 0x1c, 0x4a, 0x72, 0x34, 0x48,
			0x93, 0x36, 0x89, 0x1d, 0x09, 0x17, 0x41, 0xa2, 0x39, 0xd0}},
	{"bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity",
		{0x01, 0x55, 0x12, 0x20, 0x42, 0x58, 0xcf, 0xff, 0x78, 0xf6, 0x13, 0x69, 0x76, 0x97,
			0x56, 0x3f, 0x92, 0x6c, 0x91, 0xe5, 0xd3, 0x57, 0x4d, 0x2e, 0xa2, 0x5a,
			0xe7, 0xed, 0x92, 0xd6, 0xeb, 0xfc, 0x23, 0xa3, 0x88, 0x9e}},
};

static void test_pairs(void)
{
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		struct slice text = slice_str(pairs[i].text);
		struct slice bytes = slice_of(pairs[i].bytes, CID_BYTES);
		char got_text[CID_TEXT + 1];
		uint8_t got_bytes[CID_BYTES];
		struct cid a, b;

		ok(cid_from_text(text, &a) && cid_from_bytes(bytes, &b) && cid_eq(&a, &b),
			"%.12s: text and bytes are the same CID", pairs[i].text);
		cid_to_text(&b, got_text);
		ok(strcmp(got_text, pairs[i].text) == 0, "%.12s: bytes to text", pairs[i].text);
		cid_to_bytes(&a, got_bytes);
		ok(slice_eq(slice_of(got_bytes, CID_BYTES), bytes), "%.12s: text to bytes",
			pairs[i].text);
		b.codec ^= CID_RAW ^ CID_DAG_CBOR;
		ok(!cid_eq(&a, &b), "%.12s: another codec is another CID", pairs[i].text);
	}
}

/* Each constant byte and each length, wrong once. */
static void test_refused_bytes(void)
{
	uint8_t bytes[CID_BYTES + 1] = {0};
	struct cid cid;

	memcpy(bytes, pairs[0].bytes, CID_BYTES);
	ok(!cid_from_bytes(slice_of(bytes, CID_BYTES - 1), &cid) &&
			!cid_from_bytes(slice_of(bytes, CID_BYTES + 1), &cid) &&
			!cid_from_bytes(slice_of(NULL, 0), &cid),
		"only 36 bytes are a CID");
	for (size_t i = 0; i < 4; i++) {
		size_t n_taken = 0;

		for (unsigned v = 0; v < 256; v++) {
			memcpy(bytes, pairs[0].bytes, CID_BYTES);
			bytes[i] = (uint8_t)v;
			n_taken += cid_from_bytes(slice_of(bytes, CID_BYTES), &cid);
		}
		ok(n_taken == (i == 1 ? 2 : 1), "of byte %zu %s", i,
			i == 1 ? "two values are legal" : "one value is legal");
	}
}

static void test_refused_text(void)
{
	char text[CID_TEXT + 2];
	size_t n_taken = 0;
	struct cid cid;

	memcpy(text, pairs[0].text, CID_TEXT + 1);
	ok(!cid_from_text(slice_of(text, CID_TEXT - 1), &cid) &&
			!cid_from_text(slice_of(text, CID_TEXT + 1), &cid) &&
			!cid_from_text(slice_of(NULL, 0), &cid),
		"only 59 characters are a CID");
	text[0] = 'z';
	ok(!cid_from_text(slice_of(text, CID_TEXT), &cid), "another multibase is refused");
	text[0] = 'b';
	for (unsigned v = 0; v < 256; v++) {
		text[30] = (char)v;
		n_taken += cid_from_text(slice_of(text, CID_TEXT), &cid);
	}
	ok(n_taken == 32, "a digit has 32 legal values");
	memcpy(text, pairs[0].text, CID_TEXT + 1);
	n_taken = 0;
	for (unsigned v = 0; v < 256; v++) {
		text[CID_TEXT - 1] = (char)v;
		n_taken += cid_from_text(slice_of(text, CID_TEXT), &cid);
	}
	ok(n_taken == 8, "the last digit has 8: two bits of it are no part of the CID");
}

/* Every line of a vector file that is neither empty nor a comment must be a CID of ours or not. */
static void test_lines(const char *file)
{
	char path[4096], *line = NULL;
	size_t cap = 0, n_lines = 0, n_wrong = 0;
	ssize_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/syntax/%s", shared_dir(),
		file);
	f = fopen(path, "r");
	while (f && (n = getline(&line, &cap, f)) > 0) {
		struct slice text = slice_of(line, (size_t)n - (line[n - 1] == '\n'));
		bool ours = strncmp(line, "bafyrei", 7) == 0 || strncmp(line, "bafkrei", 7) == 0;
		struct cid cid;

		if (text.n == 0 || line[0] == '#')
			continue;
		n_lines++;
		n_wrong += cid_from_text(text, &cid) != (ours && strstr(file, "_valid"));
	}
	free(line);
	if (f)
		fclose(f);
	ok(n_lines > 3 && n_wrong == 0,
		"%s: %zu texts, none taken unless v1 dag-cbor or raw SHA-256", file, n_lines);
}

static int digit_value(const char *digits, char c)
{
	const char *at = strchr(digits, c);

	return at ? (int)(at - digits) : -1;
}

/* Decodes the base64 of a vector (without padding); returns the number of bytes. */
static size_t unbase64(const char *text, uint8_t *ret_bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, n_bits = 0;
	size_t n = 0;

	for (; *text && *text != '='; text++) {
		bits = bits << 6 | (unsigned)digit_value(digits, *text);
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			ret_bytes[n++] = (uint8_t)(bits >> n_bits);
		}
	}
	return n;
}

static void test_fixtures(void)
{
	char path[4096];
	json_t *rows;

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/data-model/%s", shared_dir(),
		"data-model-fixtures.json");
	rows = json_load_file(path, 0, NULL);
	ok(json_array_size(rows) >= 3, "data model fixtures: readable");
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		const char *base64 = json_string_value(json_object_get(row, "cbor_base64"));
		uint8_t *block = malloc(strlen(base64));
		size_t n = unbase64(base64, block);
		struct cid cid;

		ok(cid_from_text(slice_str(json_string_value(json_object_get(row, "cid"))), &cid) &&
				cid_matches(&cid, slice_of(block, n)),
			"data model fixture %zu: the CID matches its block", i);
		block[n / 2] ^= 1;
		ok(!cid_matches(&cid, slice_of(block, n)),
			"data model fixture %zu: one flipped bit and it does not", i);
		free(block);
	}
	json_decref(rows);
}

static void test_sha256(void)
{
	static const uint8_t of_nothing[CID_DIGEST] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c,
		0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64,
		0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
	static const uint8_t of_abc[CID_DIGEST] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
		0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
		0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	uint8_t digest[CID_DIGEST];

	sha256(slice_of(NULL, 0), digest);
	ok(memcmp(digest, of_nothing, CID_DIGEST) == 0, "SHA-256 of nothing");
	sha256(slice_str("abc"), digest);
	ok(memcmp(digest, of_abc, CID_DIGEST) == 0, "SHA-256 of abc");
	sha256(slice_of(NULL, 0), digest);
	ok(memcmp(digest, of_nothing, CID_DIGEST) == 0, "the reused context keeps nothing");
}

int main(void)
{
	test_pairs();
	test_refused_bytes();
	test_refused_text();
	test_sha256();
	if (shared_dir()) {
		test_lines("cid_syntax_valid.txt");
		test_lines("cid_syntax_invalid.txt");
		test_fixtures();
	} else {
		skip("no interop vectors: STANDPIPE_SHARED is not set");
	}
	return done();
}
