/* SPDX-License-Identifier: MIT */
#include "codec/cbor.h"
#include "tests/unit/tap.h"

#include <jansson.h>

#define DIGEST "65062a5a5a00fc16d73c6944237ccbc15b1c4a7234489336891d091741a239d0"
#define CID_HEX "d82a58250001711220" DIGEST

/* Every rule of the format: bytes, and what cbor_check must say. */
static const struct {
	const char *claim, *hex;
	enum cbor_status status;
} rules[] = {
	{"zero is valid", "00", CBOR_OK},
	{"2^64-1 is valid", "1bffffffffffffffff", CBOR_OK},
	{"-2^64 is valid", "3bffffffffffffffff", CBOR_OK},
	{"an empty map is valid", "a0", CBOR_OK},
	{"an empty array is valid", "80", CBOR_OK},
	{"a dag-cbor CID is valid", CID_HEX, CBOR_OK},
	{"an empty key is valid, and first", "a2600061610a", CBOR_OK},
	{"a shorter key comes first", "a2617a0062616100", CBOR_OK},
	{"U+0000 in text is valid", "6100", CBOR_OK},
	{"a finite double is valid", "fb3ff8000000000000", CBOR_OK},
	{"no bytes are truncated", "", CBOR_E_TRUNCATED},
	{"a number without its bytes is truncated", "1900", CBOR_E_TRUNCATED},
	{"text longer than the input is truncated", "6261", CBOR_E_TRUNCATED},
	{"an array longer than the input is truncated", "9bffffffffffffffff00", CBOR_E_TRUNCATED},
	{"a map longer than the input is truncated", "bb8000000000000000616100", CBOR_E_TRUNCATED},
	{"bytes of 2^64-1 are truncated", "5bffffffffffffffff00", CBOR_E_TRUNCATED},
	{"a map without its last value is truncated", "a16161", CBOR_E_TRUNCATED},
	{"a float without its bytes is truncated", "fb3ff80000000000", CBOR_E_TRUNCATED},
	{"a tag without content is truncated", "d82a", CBOR_E_TRUNCATED},
	{"a second item is refused", "0000", CBOR_E_TRAILING},
	{"23 in two bytes is refused", "1817", CBOR_E_NOT_SHORTEST},
	{"255 in three bytes is refused", "1900ff", CBOR_E_NOT_SHORTEST},
	{"65535 in five bytes is refused", "1a0000ffff", CBOR_E_NOT_SHORTEST},
	{"2^32-1 in nine bytes is refused", "1b00000000ffffffff", CBOR_E_NOT_SHORTEST},
	{"a text length that is too long a form is refused", "780161", CBOR_E_NOT_SHORTEST},
	{"a tag that is too long a form is refused", "d9002a4100", CBOR_E_NOT_SHORTEST},
	{"length form 28 is refused", "1c", CBOR_E_NOT_SHORTEST},
	{"length form 30 is refused", "5e", CBOR_E_NOT_SHORTEST},
	{"an indefinite array is refused", "9f00ff", CBOR_E_INDEFINITE},
	{"an indefinite map is refused", "bfff", CBOR_E_INDEFINITE},
	{"indefinite text is refused", "7f6161ff", CBOR_E_INDEFINITE},
	{"indefinite bytes are refused", "5f4161ff", CBOR_E_INDEFINITE},
	{"a lone break is refused", "ff", CBOR_E_INDEFINITE},
	{"tag 0 is refused", "c06161", CBOR_E_TAG},
	{"tag 43 is refused", "d82b4100", CBOR_E_TAG},
	{"a bignum is refused", "c24101", CBOR_E_TAG},
	{"undefined is refused", "f7", CBOR_E_SIMPLE},
	{"simple value 0 is refused", "e0", CBOR_E_SIMPLE},
	{"simple value 255 is refused", "f8ff", CBOR_E_SIMPLE},
	{"false in two bytes is refused", "f814", CBOR_E_SIMPLE},
	{"a half float is refused", "f93e00", CBOR_E_FLOAT},
	{"a single float is refused", "fa3fc00000", CBOR_E_FLOAT},
	{"NaN is refused", "fb7ff8000000000000", CBOR_E_FLOAT},
	{"infinity is refused", "fb7ff0000000000000", CBOR_E_FLOAT},
	{"-infinity is refused", "fbfff0000000000000", CBOR_E_FLOAT},
	{"negative zero is refused", "fb8000000000000000", CBOR_E_FLOAT},
	{"an integer key is refused", "a10000", CBOR_E_KEY_TYPE},
	{"a key of bytes is refused", "a1416100", CBOR_E_KEY_TYPE},
	{"a null key is refused", "a1f600", CBOR_E_KEY_TYPE},
	{"keys out of order are refused", "a2616200616100", CBOR_E_KEY_ORDER},
	{"a longer key before a shorter one is refused", "a262616100617a00", CBOR_E_KEY_ORDER},
	{"an empty key behind another is refused", "a26161006000", CBOR_E_KEY_ORDER},
	{"keys are compared as unsigned bytes", "a262c3a90062616100", CBOR_E_KEY_ORDER},
	{"a duplicate key is refused", "a2616100616101", CBOR_E_KEY_DUPLICATE},
	{"a duplicate empty key is refused", "a260006001", CBOR_E_KEY_DUPLICATE},
	{"a duplicate behind a nested map is refused", "a26161a1617a00616101",
		CBOR_E_KEY_DUPLICATE},
	{"order is per map: an inner key may repeat an outer one", "a16161a1616100", CBOR_OK},
	{"order restarts in the next map", "82a1617a00a1616100", CBOR_OK},
	{"invalid UTF-8 is refused", "62c328", CBOR_E_UTF8},
	{"invalid UTF-8 in a key is refused", "a162c32800", CBOR_E_UTF8},
	{"an overlong NUL is refused", "62c080", CBOR_E_UTF8},
	{"a surrogate is refused", "63eda080", CBOR_E_UTF8},
	{"a CID without 0x00 is refused", "d82a58250101711220" DIGEST, CBOR_E_CID},
	{"a CID of version 0 is refused", "d82a58250000711220" DIGEST, CBOR_E_CID},
	{"a dag-pb CID is refused", "d82a58250001701220" DIGEST, CBOR_E_CID},
	{"a BLAKE3 CID is refused", "d82a58250001711e20" DIGEST, CBOR_E_CID},
	{"a CID with a wrong hash length is refused", "d82a5825000171121f" DIGEST, CBOR_E_CID},
	{"a CID of another size is refused", "d82a4100", CBOR_E_CID},
	{"tag 42 over text is refused", "d82a6161", CBOR_E_CID},
};

enum { MAX_HEX_BYTES = 512 };

static int hex_digit(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Bytes of a hex text in a heap block of exactly that size, so that sanitizers see every overrun.
 */
static struct slice unhex(const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = malloc(n ? n : 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return slice_of(p, n);
}

static void drop(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

/* splitmix64 */
static uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void test_rules(struct arena *scratch)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		struct slice s = unhex(rules[i].hex);
		enum cbor_status r = cbor_check(s, scratch);

		ok(r == rules[i].status, "%s: %s (%s)", rules[i].claim,
			cbor_status_name(rules[i].status),
			r == rules[i].status ? "yes" : cbor_status_name(r));
		drop(s);
	}
}

static bool has_tag(const json_t *tags, const char *tag)
{
	for (size_t i = 0; i < json_array_size(tags); i++)
		if (strcmp(json_string_value(json_array_get(tags, i)), tag) == 0)
			return true;
	return false;
}

/* One case of the DASL test suite, if it belongs to a format we speak. */
static bool test_vector(const char *file, const json_t *vector, struct arena *scratch)
{
	const char *type = json_string_value(json_object_get(vector, "type"));
	const char *name = json_string_value(json_object_get(vector, "name"));
	const json_t *tags = json_object_get(vector, "tags");
	/* the one DASL allows and atproto does not: another hash than SHA-256 */
	bool valid = strcmp(type, "roundtrip") == 0 && strcmp(name, "Big DASL CID") != 0;
	struct slice s;
	enum cbor_status r;

	if (!has_tag(tags, "basic") && !has_tag(tags, "dag-cbor") && !has_tag(tags, "dasl-cid"))
		return false;
	s = unhex(json_string_value(json_object_get(vector, "data")));
	r = cbor_check(s, scratch);
	ok((r == CBOR_OK) == valid, "dasl %s: %s is %s (%s)", file, name,
		valid ? "accepted" : "refused", cbor_status_name(r));
	drop(s);
	return true;
}

static void test_vectors(struct arena *scratch)
{
	static const char *const files[] = {"cid", "concat", "floats", "indefinite",
		"integer_range", "map_keys", "numeric_reduction", "short_form", "simple", "tags",
		"utf8"};
	size_t n_tested = 0;

	if (!shared_dir()) {
		skip("no DASL vectors: STANDPIPE_SHARED is not set");
		return;
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char path[4096];
		json_t *vectors;

		snprintf(path, sizeof path, "%s/fixtures/dasl-testing/%s.json", shared_dir(),
			files[i]);
		vectors = json_load_file(path, 0, NULL);
		ok(json_is_array(vectors), "dasl %s: readable", files[i]);
		for (size_t k = 0; k < json_array_size(vectors); k++)
			n_tested += test_vector(files[i], json_array_get(vectors, k), scratch);
		json_decref(vectors);
	}
	ok(n_tested >= 80, "dasl: %zu cases tested, at least 80", n_tested);
}

static void test_cursor(void)
{
	static const struct {
		const char *hex;
		enum cbor_type type;
		uint64_t n;
	} heads[] = {
		{"17", CBOR_UINT, 23},
		{"1818", CBOR_UINT, 24},
		{"190100", CBOR_UINT, 256},
		{"1a00010000", CBOR_UINT, 65536},
		{"1b0000000100000000", CBOR_UINT, (uint64_t)1 << 32},
		{"1bffffffffffffffff", CBOR_UINT, UINT64_MAX},
		{"20", CBOR_NINT, 0},
		{"3bffffffffffffffff", CBOR_NINT, UINT64_MAX},
		{"8100", CBOR_ARRAY, 1},
		{"a1616100", CBOR_MAP, 1},
		{"f4", CBOR_BOOL, 0},
		{"f5", CBOR_BOOL, 1},
		{"f6", CBOR_NULL, 0},
	};
	struct cbor_item item;
	struct cbor c;
	struct slice s;

	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		s = unhex(heads[i].hex);
		c = cbor_over(s);
		ok(cbor_next(&c, &item) == CBOR_OK && item.type == heads[i].type &&
				item.n == heads[i].n,
			"the cursor reads %s", heads[i].hex);
		drop(s);
	}
	s = unhex("8463c3a961420102fb3ff8000000000000" CID_HEX);
	c = cbor_over(s);
	ok(cbor_next(&c, &item) == CBOR_OK && item.type == CBOR_ARRAY && item.n == 4,
		"an array's head is read alone");
	ok(cbor_next(&c, &item) == CBOR_OK && item.type == CBOR_TEXT &&
			slice_eq(item.s, slice_of(s.p + 2, 3)),
		"text is borrowed");
	ok(cbor_next(&c, &item) == CBOR_OK && item.type == CBOR_BYTES && slice_is(item.s, "\1\2"),
		"bytes are borrowed");
	ok(cbor_next(&c, &item) == CBOR_OK && item.type == CBOR_FLOAT && item.d == 1.5,
		"a float is read");
	ok(cbor_next(&c, &item) == CBOR_OK && item.type == CBOR_CID && item.s.n == 36 &&
			item.s.p == s.p + s.n - 36,
		"a CID is borrowed without its leading zero");
	ok(cbor_next(&c, &item) == CBOR_E_END, "the cursor says when nothing is left");
	drop(s);
	s = unhex("62c328");
	c = cbor_over(s);
	ok(cbor_next(&c, &item) == CBOR_E_UTF8 && c.p == s.p,
		"after an error the cursor stands where it stood");
	drop(s);
}

/* n containers in one another around a zero: "81" or "a16161" n times, then 00. */
static struct slice nested(const char *opening, size_t n)
{
	struct slice one = unhex(opening);
	uint8_t *p = malloc(one.n * n + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(p + i * one.n, one.p, one.n);
	p[one.n * n] = 0;
	n = one.n * n + 1;
	drop(one);
	return slice_of(p, n);
}

static void test_depth(struct arena *scratch)
{
	static const struct {
		const char *opening;
		size_t n;
		enum cbor_status status;
	} rows[] = {
		{"81", 17, CBOR_OK},
		{"81", CBOR_MAX_DEPTH, CBOR_OK},
		{"81", CBOR_MAX_DEPTH + 1, CBOR_E_DEPTH},
		{"81", 1000000, CBOR_E_DEPTH},
		{"a16161", CBOR_MAX_DEPTH, CBOR_OK},
		{"a16161", CBOR_MAX_DEPTH + 1, CBOR_E_DEPTH},
	};
	struct slice s;
	struct cbor c;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		s = nested(rows[i].opening, rows[i].n);
		ok(cbor_check(s, scratch) == rows[i].status, "%zu times %s: %s", rows[i].n,
			rows[i].opening, cbor_status_name(rows[i].status));
		drop(s);
	}
	s = nested("81", 1000000);
	c = cbor_over(s);
	ok(cbor_skip(&c) == CBOR_OK && c.p == c.end, "a million levels are stepped over");
	drop(s);
	/* an outer key must be remembered while the stack of levels moves to the arena */
	s = unhex("a26162818181818181818181818181818181818181818181818100616100");
	ok(cbor_check(s, scratch) == CBOR_E_KEY_ORDER, "key order is checked behind a deep value");
	drop(s);
}

/* A record as they are: a like with a list and a subject. */
#define SAMPLE                                                                                     \
	"a4"                                                                                       \
	"652474797065726170702e62736b792e666565642e6c696b65"                                       \
	"6573746174658301a26161016162026378797A"                                                   \
	"677375626a656374a263636964" CID_HEX "6375726963613a2f"                                    \
	"696372656174656441747818323032362d30362d30315430303a30303a30302e3133315a"

static void test_find(struct arena *scratch)
{
	struct slice s = unhex(SAMPLE), bytes;
	struct cbor_item item;
	struct cbor c;

	ok(cbor_check(s, scratch) == CBOR_OK, "the sample record is valid");
	ok(cbor_find(s, "state", &c) == CBOR_OK && cbor_next(&c, &item) == CBOR_OK &&
			item.type == CBOR_ARRAY && item.n == 3,
		"a key is found");
	ok(c.end == s.p + s.n, "the value's cursor ends where the map's bytes end");
	ok(cbor_find(s, "stat", &c) == CBOR_E_ABSENT &&
			cbor_find(s, "statf", &c) == CBOR_E_ABSENT &&
			cbor_find(s, "longer than all", &c) == CBOR_E_ABSENT &&
			cbor_find(s, "", &c) == CBOR_E_ABSENT,
		"a key that is not there is absent");
	ok(cbor_path(s, "subject.uri", &item, &bytes) == CBOR_OK && slice_is(item.s, "a:/") &&
			bytes.n == 4 && bytes.p[0] == 0x63,
		"a path leads through a map to the item and its bytes");
	ok(cbor_path(s, "subject.cid", &item, NULL) == CBOR_OK && item.type == CBOR_CID,
		"a path needs no bytes");
	ok(cbor_path(s, "subject", &item, &bytes) == CBOR_OK && item.type == CBOR_MAP &&
			cbor_check(bytes, scratch) == CBOR_OK,
		"the bytes of a container are a whole item");
	ok(cbor_path(s, "subject.uri.x", &item, NULL) == CBOR_E_ABSENT &&
			cbor_path(s, "state.0", &item, NULL) == CBOR_E_ABSENT &&
			cbor_path(s, "subject.", &item, NULL) == CBOR_E_ABSENT,
		"a path through something that is no map is absent");
	ok(cbor_find(slice_of(s.p, 0), "a", &c) == CBOR_E_ABSENT, "no bytes have no keys");
	drop(s);
}

static void test_bounds_of_items(struct arena *scratch)
{
	struct slice s = unhex(SAMPLE);
	struct cbor c = cbor_over(s);
	size_t n_wrong = 0, n_bytes = 0;
	uint8_t *longer = malloc(s.n + 3);

	for (size_t n = 0; n < s.n; n++) {
		struct slice cut = slice_of(memcpy(malloc(n ? n : 1), s.p, n), n);

		n_wrong += cbor_check(cut, scratch) != CBOR_E_TRUNCATED;
		drop(cut);
	}
	ok(n_wrong == 0, "every true prefix of an item is truncated (%zu of %zu are not)", n_wrong,
		s.n);
	memcpy(longer, s.p, s.n);
	memset(longer + s.n, 0xff, 3);
	ok(cbor_check_first(slice_of(longer, s.n + 3), scratch, &n_bytes) == CBOR_OK &&
			n_bytes == s.n,
		"the first item's length is told, whatever follows");
	ok(cbor_check(slice_of(longer, s.n + 3), scratch) == CBOR_E_TRAILING,
		"bytes behind the item are refused");
	ok(cbor_skip(&c) == CBOR_OK && c.p == s.p + s.n, "an item is stepped over to its end");
	ok(cbor_skip(&c) == CBOR_E_END, "nothing left to step over");
	free(longer);
	drop(s);
}

/* What Unicode says, read naively: decode by the lead byte's bits, then judge the value. */
static bool naive_utf8(const uint8_t *p, size_t n)
{
	static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};

	for (size_t i = 0; i < n;) {
		size_t extra = p[i] < 0x80 ? 0 : p[i] >> 5 == 6 ? 1 : p[i] >> 4 == 14 ? 2 : 3;
		uint32_t v = extra ? p[i] & (0x3fU >> extra) : p[i];

		if ((p[i] >= 0x80 && p[i] < 0xc0) || p[i] >= 0xf8 || n - i <= extra)
			return false;
		for (size_t k = 1; k <= extra; k++) {
			if (p[i + k] >> 6 != 2)
				return false;
			v = v << 6 | (p[i + k] & 0x3f);
		}
		if (v < smallest[extra] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
			return false;
		i += extra + 1;
	}
	return true;
}

static void test_utf8(void)
{
	static const uint8_t edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
		0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5,
		0xf8, 0xff};
	const size_t n_edges = sizeof edges;
	size_t n_wrong = 0, n_valid = 0;
	uint64_t seed = 1;
	uint8_t p[24];

	for (size_t v = 0; v < n_edges * n_edges * n_edges * n_edges; v++) {
		size_t n = 1 + rng_next(&seed) % 4, at = rng_next(&seed) % 12, rest = v;
		bool valid;

		memset(p, 'a', sizeof p);
		for (size_t i = 0; i < 4; i++, rest /= n_edges)
			p[at + i] = edges[rest % n_edges];
		/* whole, and cut behind the n-th byte of it */
		valid = naive_utf8(p, sizeof p);
		n_valid += valid;
		n_wrong += utf8_valid(slice_of(p, sizeof p)) != valid;
		n_wrong += utf8_valid(slice_of(p, at + n)) != naive_utf8(p, at + n);
	}
	ok(n_wrong == 0 && n_valid > 1000,
		"utf8_valid agrees with a naive decoder on all edges (%zu wrong, %zu valid)",
		n_wrong, n_valid);
	ok(utf8_valid(slice_of(NULL, 0)), "no bytes are valid UTF-8");
}

/* What must hold of any bytes at all; false if it does not. */
static bool holds_for(struct slice s, struct arena *scratch, size_t *n_valid)
{
	struct cbor c = cbor_over(s);
	struct cbor_item item;
	struct slice bytes;
	enum cbor_status r = cbor_check(s, scratch), step;
	bool skipped = cbor_skip(&c) == CBOR_OK;
	bool to_end = skipped && c.p == c.end;

	if (cbor_path(s, "subject.uri", &item, &bytes) == CBOR_OK &&
		(bytes.p < s.p || bytes.p + bytes.n > s.p + s.n))
		return false;
	c = cbor_over(s);
	do
		step = cbor_next(&c, &item);
	while (step == CBOR_OK);
	arena_reset(scratch);
	if (r != CBOR_OK)
		return r != CBOR_E_TRAILING || skipped;
	++*n_valid;
	return to_end && step == CBOR_E_END;
}

static void test_damage(struct arena *scratch)
{
	uint64_t seed = 20260601;
	struct slice whole = unhex(SAMPLE);
	size_t n_wrong = 0, n_valid = 0, n_rounds = 20000;

	for (size_t i = 0; i < n_rounds; i++) {
		size_t n = rng_next(&seed) % 4 ? whole.n : 1 + rng_next(&seed) % whole.n;
		uint8_t *p = memcpy(malloc(n), whole.p, n);

		for (uint64_t k = rng_next(&seed) % 4; k > 0; k--)
			p[rng_next(&seed) % n] ^= (uint8_t)(1 << rng_next(&seed) % 8);
		if (i % 8 == 0) /* pure noise now and then */
			for (size_t k = 0; k < n; k++)
				p[k] = (uint8_t)rng_next(&seed);
		n_wrong += !holds_for(slice_of(p, n), scratch, &n_valid);
		free(p);
	}
	ok(n_wrong == 0, "%zu damaged records: check, skip and walk agree (%zu do not)", n_rounds,
		n_wrong);
	ok(n_valid > 100 && n_valid < n_rounds, "some of them are valid all the same (%zu)",
		n_valid);
	drop(whole);
}

int main(void)
{
	struct arena scratch = ARENA_INIT;

	test_rules(&scratch);
	test_vectors(&scratch);
	test_cursor();
	test_depth(&scratch);
	test_find(&scratch);
	test_bounds_of_items(&scratch);
	test_utf8();
	test_damage(&scratch);
	arena_done(&scratch);
	return done();
}
