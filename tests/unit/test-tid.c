/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"
#include "tests/unit/vectors.h"

#include "codec/tid.h"

static bool parses(struct slice s)
{
	uint64_t value;

	return tid_parse(s, &value);
}

/* Formatting what was parsed must give the text back. */
static bool round_trips(const char *text)
{
	char again[TID_TEXT + 1];
	uint64_t value;

	if (!tid_parse(slice_str(text), &value))
		return false;
	tid_format(value, again);
	return strcmp(text, again) == 0;
}

static void values(void)
{
	uint64_t v = 1, last = 0, x;
	bool inverse = true, ordered = true;
	char text[TID_TEXT + 1], last_text[TID_TEXT + 1] = "";

	ok(tid_parse(slice_str("2222222222222"), &v) && v == 0, "2222222222222 is 0");
	ok(tid_parse(slice_str("jzzzzzzzzzzzz"), &v) && v == UINT64_MAX, "jzzzzzzzzzzzz is 2^64-1");
	ok(tid_parse(slice_str("bzzzzzzzzzzzz"), &v) && v == INT64_MAX, "bzzzzzzzzzzzz is 2^63-1");
	/* 2023-08-20T00:45:41.301Z by the definition: 1692493541301000 us, clock id 0 */
	tid_format((uint64_t)1692493541301000 << 10 | 7, text);
	ok(tid_parse(slice_str(text), &v) && tid_time_us(v) == 1692493541301000 && (v & 1023) == 7,
		"time and clock id come back out of a TID");
	for (int i = 0; i < 10000; i++) {
		x = last + ((uint64_t)i * 0x9e3779b97f4a7c15u >> 14);
		tid_format(x, text);
		inverse = inverse && tid_parse(slice_str(text), &v) && v == x;
		ordered = ordered && (x == last || strcmp(last_text, text) < 0);
		memcpy(last_text, text, sizeof text);
		last = x;
	}
	ok(inverse, "tid_parse undoes tid_format for 10000 values");
	ok(ordered, "text order is the order of values");
}

int main(void)
{
	vectors_check("tid_syntax_valid.txt", parses, true);
	vectors_check("tid_syntax_invalid.txt", parses, false);
	ok(round_trips("3jzfcijpj2z2a") && round_trips("7777777777777") &&
			round_trips("3zzzzzzzzzzzz"),
		"text round-trips");
	ok(!parses(slice_str("")) && !parses(slice_of("3jzfcijpj2z2\0", 13)) &&
			!parses(slice_of("3jzfcijpj2z2\xff", 13)) &&
			!parses(slice_str("3jzfcijpj2z21")) &&
			!parses(slice_str("3jzfcijpj2z28")) && !parses(slice_str("3jzfcijpj2z2A")),
		"bytes outside the alphabet are refused");
	values();
	return done();
}
