/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "codec/cbor.h"
#include "codec/cid.h"
#include "tests/unit/random_cbor.h"
#include "tests/unit/tap.h"

#include <assert.h>
#include <jansson.h>

/* json_status has no names of its own: only callers know how to put it. */
static const char *const status_names[] = {"exact", "inexact", "too deep", "no CBOR", "no JSON"};

#define DIGEST "65062a5a5a00fc16d73c6944237ccbc15b1c4a7234489336891d091741a239d0"
#define CID_TEXT_FORM "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"

/* CBOR, the JSON it becomes, and whether that is exact. */
static const struct {
	const char *claim, *hex, *json;
	enum json_status status;
} rows[] = {
	{"integers", "8500172018641a000f4240", "[0,23,-1,100,1000000]", JSON_OK},
	{"the largest signed integer", "1b7fffffffffffffff", "9223372036854775807", JSON_OK},
	{"the smallest signed integer", "3b7fffffffffffffff", "-9223372036854775808", JSON_OK},
	{"2^63", "1b8000000000000000", "9223372036854775808", JSON_INEXACT},
	{"2^64-1", "1bffffffffffffffff", "18446744073709551615", JSON_INEXACT},
	{"-2^63-1", "3b8000000000000000", "-9223372036854775809", JSON_INEXACT},
	{"-2^64", "3bffffffffffffffff", "-18446744073709551616", JSON_INEXACT},
	{"false, true, null", "83f4f5f6", "[false,true,null]", JSON_OK},
	{"empty containers", "8280a0", "[[],{}]", JSON_OK},
	{"maps in maps", "a26161a161620161620a", "{\"a\":{\"b\":1},\"b\":10}", JSON_OK},
	{"no bytes", "40", "{\"$bytes\":\"\"}", JSON_OK},
	{"one byte", "41ff", "{\"$bytes\":\"/w\"}", JSON_OK},
	{"two bytes", "42fffe", "{\"$bytes\":\"//4\"}", JSON_OK},
	{"three bytes", "43fbf0be", "{\"$bytes\":\"+/C+\"}", JSON_OK},
	{"a CID", "d82a58250001711220" DIGEST, "{\"$link\":\"" CID_TEXT_FORM "\"}", JSON_OK},
	{"quotes and backslashes", "64225c2f27", "\"\\\"\\\\/'\"", JSON_OK},
	{"control bytes", "6808090a0c0d1b1f7f", "\"\\b\\t\\n\\f\\r\\u001b\\u001f\x7f\"", JSON_OK},
	{"an escape behind eight plain bytes", "6a6162636465666768220a", "\"abcdefgh\\\"\\n\"",
		JSON_OK},
	{"text beyond ASCII", "68c3a9f09f9880c2a0", "\"\xc3\xa9\xf0\x9f\x98\x80\xc2\xa0\"",
		JSON_OK},
	{"U+0000", "63610062", "\"a\357\277\275b\"", JSON_INEXACT},
	{"U+0000 in a key", "a1610001", "{\"\xef\xbf\xbd\":1}", JSON_INEXACT},
	{"a float", "fb3fb999999999999a", "0.10000000000000001", JSON_INEXACT},
	{"an integral float", "fb405ec00000000000", "123", JSON_INEXACT},
	{"the smallest float", "fb0000000000000001", "4.9406564584124654e-324", JSON_INEXACT},
	{"a map that looks like a CID", "a165246c696e6b6178", "{\"$link\":\"x\"}", JSON_INEXACT},
	{"a map that looks like bytes", "a1662462797465736178", "{\"$bytes\":\"x\"}", JSON_INEXACT},
	{"$link among other keys", "a261610165246c696e6b02", "{\"a\":1,\"$link\":2}", JSON_INEXACT},
	{"$type is as good as any key", "a165247479706501", "{\"$type\":1}", JSON_OK},
};

/* JSON that has no DAG-CBOR, or not this depth. */
static const struct {
	const char *claim, *json;
	enum json_status status;
} refused[] = {
	{"nothing", "", JSON_E_SYNTAX},
	{"half an object", "{\"a\":1", JSON_E_SYNTAX},
	{"two values", "1 2", JSON_E_SYNTAX},
	{"a duplicate key", "{\"a\":1,\"a\":1}", JSON_E_SYNTAX},
	{"a fraction", "{\"a\":123.456}", JSON_E_SYNTAX},
	{"2^63", "9223372036854775808", JSON_E_SYNTAX},
	{"1e300", "1e300", JSON_E_SYNTAX},
	{"a lone surrogate", "\"\\ud800\"", JSON_E_SYNTAX},
	{"invalid UTF-8", "\"\xc3(\"", JSON_E_SYNTAX},
	{"a link that is a number", "{\"$link\":1234}", JSON_E_SYNTAX},
	{"a link that is no CID", "{\"$link\":\".\"}", JSON_E_SYNTAX},
	{"a link beside another key", "{\"$link\":\"" CID_TEXT_FORM "\",\"x\":1}", JSON_E_SYNTAX},
	{"bytes that are an array", "{\"$bytes\":[1,2]}", JSON_E_SYNTAX},
	{"bytes beside another key", "{\"$bytes\":\"\",\"x\":1}", JSON_E_SYNTAX},
	{"bytes and a link", "{\"$bytes\":\"\",\"$link\":\"" CID_TEXT_FORM "\"}", JSON_E_SYNTAX},
	{"bytes with a foreign digit", "{\"$bytes\":\"a_==\"}", JSON_E_SYNTAX},
	{"bytes with one digit", "{\"$bytes\":\"aaaaa\"}", JSON_E_SYNTAX},
	{"bytes with spare bits", "{\"$bytes\":\"/x\"}", JSON_E_SYNTAX},
	{"bytes with padding in between", "{\"$bytes\":\"/w==/w==\"}", JSON_E_SYNTAX},
	{"bytes of padding alone", "{\"$bytes\":\"====\"}", JSON_E_SYNTAX},
};

static int hex_digit(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void put_hex(struct buf *out, const char *hex)
{
	for (; *hex; hex += 2)
		buf_u8(out, (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
}

static void test_rows(struct arena *scratch)
{
	struct buf cbor = BUF_INIT, json = BUF_INIT, back = BUF_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		enum json_status r;

		buf_reset(&cbor);
		buf_reset(&json);
		buf_reset(&back);
		put_hex(&cbor, rows[i].hex);
		buf_add_str(&json, "before ");
		assert(cbor_check(buf_slice(&cbor), scratch) == CBOR_OK);
		r = json_from_cbor(buf_slice(&cbor), &json);
		ok(r == rows[i].status && strcmp(buf_str(&json) + 7, rows[i].json) == 0,
			"%s: %s, %s", rows[i].claim, rows[i].json, status_names[r]);
		if (r != JSON_OK)
			continue;
		r = json_to_cbor(slice_str(rows[i].json), scratch, &back);
		ok(r == JSON_OK && slice_eq(buf_slice(&back), buf_slice(&cbor)), "%s: and back",
			rows[i].claim);
	}
	buf_done(&cbor);
	buf_done(&json);
	buf_done(&back);
}

static void test_refused(struct arena *scratch)
{
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		enum json_status r;

		buf_reset(&out);
		buf_add_str(&out, "before");
		r = json_to_cbor(slice_str(refused[i].json), scratch, &out);
		ok(r == refused[i].status && slice_is(buf_slice(&out), "before"),
			"%s: %s, nothing written", refused[i].claim, status_names[r]);
	}
	buf_done(&out);
}

/* Forms json_from_cbor does not write but others do. */
static void test_tolerated(struct arena *scratch)
{
	static const struct {
		const char *claim, *json, *hex;
	} tolerated[] = {
		{"padded base64", "{\"$bytes\":\"/w==\"}", "41ff"},
		{"an integer with a point", "123.0", "187b"},
		{"an integer with an exponent", "-1e3", "3903e7"},
		{"white space and another order", " { \"bb\" : 2 , \"a\" : 1 } ",
			"a261610162626202"},
		{"\\u0000", "\"\\u0000\"", "6100"},
		{"a surrogate pair", "\"\\ud83d\\ude00\"", "64f09f9880"},
		{"negative zero", "-0", "00"},
	};
	struct buf out = BUF_INIT, expected = BUF_INIT;

	for (size_t i = 0; i < sizeof tolerated / sizeof tolerated[0]; i++) {
		enum json_status r;

		buf_reset(&out);
		buf_reset(&expected);
		put_hex(&expected, tolerated[i].hex);
		r = json_to_cbor(slice_str(tolerated[i].json), scratch, &out);
		ok(r == JSON_OK && slice_eq(buf_slice(&out), buf_slice(&expected)), "%s is read",
			tolerated[i].claim);
	}
	buf_done(&out);
	buf_done(&expected);
}

/* A zero in n arrays, as CBOR and as JSON. */
static void nest(size_t n, struct buf *cbor, struct buf *json)
{
	buf_reset(cbor);
	buf_reset(json);
	for (size_t i = 0; i < n; i++) {
		buf_u8(cbor, 0x81);
		buf_u8(json, '[');
	}
	buf_u8(cbor, 0);
	buf_u8(json, '0');
	for (size_t i = 0; i < n; i++)
		buf_u8(json, ']');
}

static void test_depth(struct arena *scratch)
{
	struct buf cbor = BUF_INIT, json = BUF_INIT, out = BUF_INIT;
	size_t deeper[] = {JSON_MAX_DEPTH + 1, CBOR_MAX_DEPTH};

	nest(JSON_MAX_DEPTH, &cbor, &json);
	ok(json_from_cbor(buf_slice(&cbor), &out) == JSON_OK &&
			slice_eq(buf_slice(&out), buf_slice(&json)),
		"%d levels become JSON", JSON_MAX_DEPTH);
	buf_reset(&out);
	ok(json_to_cbor(buf_slice(&json), scratch, &out) == JSON_OK &&
			slice_eq(buf_slice(&out), buf_slice(&cbor)),
		"and come back");
	for (size_t i = 0; i < 2; i++) {
		nest(deeper[i], &cbor, &json);
		buf_reset(&out);
		buf_add_str(&out, "before");
		ok(json_from_cbor(buf_slice(&cbor), &out) == JSON_E_DEPTH &&
				json_to_cbor(buf_slice(&json), scratch, &out) == JSON_E_DEPTH &&
				slice_is(buf_slice(&out), "before"),
			"%zu levels are refused both ways, nothing written", deeper[i]);
	}
	buf_done(&cbor);
	buf_done(&json);
	buf_done(&out);
}

static void test_no_cbor(void)
{
	static const char *const hexes[] = {"", "616100", "a10000", "62c328", "1817", "8201", "f7"};
	struct buf cbor = BUF_INIT, out = BUF_INIT;

	buf_add_str(&out, "before");
	for (size_t i = 0; i < sizeof hexes / sizeof hexes[0]; i++) {
		buf_reset(&cbor);
		put_hex(&cbor, hexes[i]);
		ok(json_from_cbor(buf_slice(&cbor), &out) == JSON_E_CBOR &&
				slice_is(buf_slice(&out), "before"),
			"bytes %s: refused though nobody checked them, nothing written", hexes[i]);
	}
	buf_done(&cbor);
	buf_done(&out);
}

/* How the values of a run came out. */
struct tally {
	size_t n_values, n_exact, n_inexact, n_invalid, n_wrong;
	size_t n_bytes;
};

/* One value through both directions; value is exactly as large as its heap block. */
static void round_trip(struct slice value, struct arena *scratch, struct tally *tally)
{
	struct buf json = BUF_INIT, back = BUF_INIT;
	enum json_status r;

	tally->n_values++;
	tally->n_bytes += value.n;
	if (cbor_check(value, scratch)) {
		tally->n_invalid++;
		/* unchecked bytes: whatever comes, it must stay within them */
		if (json_from_cbor(value, &json) == JSON_E_DEPTH)
			tally->n_wrong++;
	} else {
		r = json_from_cbor(value, &json);
		tally->n_exact += r == JSON_OK;
		tally->n_inexact += r == JSON_INEXACT;
		tally->n_wrong += r > JSON_INEXACT;
		if (r == JSON_OK)
			tally->n_wrong +=
				json_to_cbor(buf_slice(&json), scratch, &back) != JSON_OK ||
				!slice_eq(buf_slice(&back), value);
	}
	buf_done(&json);
	buf_done(&back);
	arena_reset(scratch);
}

static void test_random_values(uint64_t seed, struct arena *scratch)
{
	struct tally whole = {0}, damaged = {0};
	uint64_t state = seed;

	for (int i = 0; i < 5000; i++) {
		struct buf value = BUF_INIT;
		uint8_t *copy;
		size_t n;

		put_random_value(&value, &state);
		n = value.n;
		copy = memcpy(malloc(n), value.p, n);
		round_trip(slice_of(copy, n), scratch, &whole);
		for (uint64_t k = 1 + rng_next(&state) % 2; k > 0; k--)
			copy[rng_next(&state) % n] ^= (uint8_t)(1 << rng_next(&state) % 8);
		if (i % 4 == 0)
			copy = realloc(copy, n = 1 + rng_next(&state) % n);
		round_trip(slice_of(copy, n), scratch, &damaged);
		free(copy);
		buf_done(&value);
	}
	ok(whole.n_wrong == 0 && whole.n_invalid == 0,
		"%zu random values, %zu bytes: CBOR to JSON to CBOR is the same (%zu wrong, %zu "
		"invalid)",
		whole.n_values, whole.n_bytes, whole.n_wrong, whole.n_invalid);
	ok(whole.n_exact > 1000 && whole.n_inexact > 100, "%zu of them were exact, %zu inexact",
		whole.n_exact, whole.n_inexact);
	/* also proves cbor_check: what it takes has no other form, or the way back would find that
	 * one */
	ok(damaged.n_wrong == 0 && damaged.n_exact > 100 && damaged.n_invalid > 100,
		"damaged: %zu refused, %zu still valid and the same after the round trip (%zu "
		"wrong)",
		damaged.n_invalid, damaged.n_exact, damaged.n_wrong);
}

/* One line of records.jsonl: value to CBOR must have the record's CID, and come back as itself. */
static bool record_holds(const char *line, struct arena *scratch)
{
	json_t *row = json_loads(line, 0, NULL);
	char *text = json_dumps(json_object_get(row, "value"), JSON_ENCODE_ANY | JSON_COMPACT);
	struct buf cbor = BUF_INIT, json = BUF_INIT, back = BUF_INIT;
	struct cid cid;
	bool holds;

	holds = cid_from_text(slice_str(json_string_value(json_object_get(row, "cid"))), &cid) &&
		json_to_cbor(slice_str(text), scratch, &cbor) == JSON_OK &&
		cid_matches(&cid, buf_slice(&cbor)) &&
		cbor_check(buf_slice(&cbor), scratch) == CBOR_OK &&
		json_from_cbor(buf_slice(&cbor), &json) == JSON_OK &&
		json_to_cbor(buf_slice(&json), scratch, &back) == JSON_OK &&
		slice_eq(buf_slice(&cbor), buf_slice(&back));
	buf_done(&cbor);
	buf_done(&json);
	buf_done(&back);
	free(text);
	json_decref(row);
	return holds;
}

static void test_records(const char *file, struct arena *scratch)
{
	size_t cap = 0, n_records = 0, n_wrong = 0;
	char path[4096], *line = NULL;
	FILE *f;

	snprintf(path, sizeof path, "%s/frames/%s", shared_dir(), file);
	f = fopen(path, "r");
	while (f && getline(&line, &cap, f) > 0) {
		if (strstr(line, "\\u0000")) /* not exact, as other claims say */
			continue;
		n_records++;
		n_wrong += !record_holds(line, scratch);
		arena_reset(scratch);
	}
	free(line);
	if (f)
		fclose(f);
	ok(n_records > 2000 && n_wrong == 0,
		"%s: %zu records have their CID as CBOR, and are the same again after JSON (%zu "
		"wrong)",
		file, n_records, n_wrong);
}

/* The data model's own fixtures: JSON to CBOR has the CID. */
static void test_fixtures(struct arena *scratch)
{
	char path[4096];
	json_t *fixtures;

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/data-model/%s", shared_dir(),
		"data-model-fixtures.json");
	fixtures = json_load_file(path, 0, NULL);
	ok(json_array_size(fixtures) >= 3, "data model fixtures: readable");
	for (size_t i = 0; i < json_array_size(fixtures); i++) {
		const json_t *row = json_array_get(fixtures, i);
		char *text = json_dumps(json_object_get(row, "json"), 0);
		struct buf cbor = BUF_INIT;
		struct cid cid;

		ok(json_to_cbor(slice_str(text), scratch, &cbor) == JSON_OK &&
				cid_from_text(
					slice_str(json_string_value(json_object_get(row, "cid"))),
					&cid) &&
				cid_matches(&cid, buf_slice(&cbor)),
			"data model fixture %zu has its CID", i);
		buf_done(&cbor);
		free(text);
	}
	json_decref(fixtures);
}

/* The data model's valid values are read, and those with a bad link, bytes or float are not. */
static void test_model(const char *file, struct arena *scratch)
{
	char path[4096];
	json_t *fixtures;

	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/data-model/%s", shared_dir(),
		file);
	fixtures = json_load_file(path, 0, NULL);
	ok(json_array_size(fixtures) >= 5, "%s: readable", file);
	for (size_t i = 0; i < json_array_size(fixtures); i++) {
		const json_t *row = json_array_get(fixtures, i);
		const char *note = json_string_value(json_object_get(row, "note"));
		char *text = json_dumps(json_object_get(row, "json"), JSON_ENCODE_ANY);
		bool form =
			strstr(note, "link") || strstr(note, "bytes") || strcmp(note, "float") == 0;
		bool valid = strcmp(file, "data-model-valid.json") == 0;
		struct buf cbor = BUF_INIT;

		/* the other invalid ones break rules of records, which are not this module's */
		if (valid || form)
			ok((json_to_cbor(slice_str(text), scratch, &cbor) == JSON_OK) == valid,
				"data model: \"%s\" is %s", note, valid ? "read" : "refused");
		buf_done(&cbor);
		free(text);
	}
	json_decref(fixtures);
}

int main(void)
{
	const char *seed_text = getenv("STANDPIPE_SEED");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 20260601;
	struct arena scratch = ARENA_INIT;

	test_rows(&scratch);
	test_refused(&scratch);
	test_tolerated(&scratch);
	test_depth(&scratch);
	test_no_cbor();
	printf("# STANDPIPE_SEED=%llu\n", (unsigned long long)seed);
	test_random_values(seed, &scratch);
	if (shared_dir()) {
		test_records("pds.records.jsonl", &scratch);
		test_records("synth.records.jsonl", &scratch);
		test_fixtures(&scratch);
		test_model("data-model-valid.json", &scratch);
		test_model("data-model-invalid.json", &scratch);
	} else {
		skip("no recorded records, no interop vectors: STANDPIPE_SHARED is not set");
	}
	arena_done(&scratch);
	return done();
}
