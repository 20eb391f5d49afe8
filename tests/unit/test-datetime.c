/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"
#include "tests/unit/vectors.h"

#include "codec/datetime.h"

#include <time.h>

static bool parses(struct slice s)
{
	int64_t us;

	return datetime_parse(s, &us);
}

static bool canonical(const char *s)
{
	int64_t us;

	return datetime_canonical(slice_str(s), &us);
}

struct value_row {
	const char *text;
	int64_t us;
};

static void values(void)
{
	static const struct value_row rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1969-12-31T23:59:59.999999Z", -1 },
		{ "1970-01-01T00:00:00.1Z", 100000 },
		{ "1970-01-01T00:00:00.0000019999Z", 1 },
		{ "1970-01-01T01:45:00.5+01:45", 500000 },
		{ "1969-12-31T17:00:00-07:00", 0 },
		{ "2000-02-29T12:34:56.789Z", 951827696789000 },
		{ "2026-06-01T00:00:00.123Z", 1780272000123000 },
		{ "0001-01-01T00:00:00.000Z", -62135596800000000 },
		{ "0000-01-01T00:00:00.000Z", -62167219200000000 },
		{ "9999-12-31T23:59:59.999Z", 253402300799999000 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t us = 42;

		ok(datetime_parse(slice_str(rows[i].text), &us) && us == rows[i].us,
			"%s is %lld us", rows[i].text, (long long)rows[i].us);
	}
}

static void refusals(void)
{
	static const char *const texts[] = { "", "1985-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"1985-04-31T00:00:00Z", "1985-04-12T24:00:00Z", "1985-04-12T23:59:60Z",
		"1985-04-12T23:20:50.123-00:00", "1985-04-12T23:20:50.123+24:00",
		"1985-04-12T23:20:50+01:60", "0000-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01", "1985-04-12T23:20:50.123ZZ",
		"1985-04-12T23:20:50.000000000000000000000000000000000000000000000Z" };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ok(!parses(slice_str(texts[i])), "\"%s\" is no datetime", texts[i]);
}

/* Against the C library's calendar: every day-sized step with a few odd microseconds on top. */
static void calendar(void)
{
	bool same = true, back = true;
	size_t n = 0;

	for (int64_t s = -62167219200; s < 253402300800; s += 86400 * 3 + 3661, n++) {
		int64_t us = s * 1000000 + (s & 1023) * 977, parsed = 0;
		char ours[DATETIME_TEXT + 1], libc[64];
		time_t t = (time_t)s;
		struct tm tm;

		datetime_format(us, ours);
		gmtime_r(&t, &tm);
		snprintf(libc, sizeof libc, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec, (int)((s & 1023) * 977 / 1000));
		same = same && strcmp(ours, libc) == 0;
		back = back && datetime_parse(slice_str(ours), &parsed) &&
		       parsed == us - us % 1000 - (us % 1000 < 0 ? 1000 : 0);
	}
	ok(same, "%zu moments of 10000 years print as the C library has them", n);
	ok(back, "and parse back to the millisecond");
}

static void borders(void)
{
	char text[DATETIME_TEXT + 1];

	datetime_format(INT64_MAX, text);
	ok(strcmp(text, "9999-12-31T23:59:59.999Z") == 0,
		"too late a moment prints as the last one");
	datetime_format(INT64_MIN, text);
	ok(strcmp(text, "0000-01-01T00:00:00.000Z") == 0,
		"too early a moment prints as the first one");
	ok(canonical("2026-06-01T00:00:00.123Z") && canonical("0001-01-01T00:00:00.000Z"),
		"three decimals and Z are canonical");
	ok(!canonical("2026-06-01T00:00:00Z") && !canonical("2026-06-01T00:00:00.1234Z") &&
			!canonical("2026-06-01T00:00:00.12Z") &&
			!canonical("2026-06-01T00:00:00+00:00") &&
			!canonical("2026-02-30T00:00:00.123Z") &&
			!canonical("0000-06-01T00:00:00.123Z"),
		"nothing else is");
}

int main(void)
{
	vectors_check("datetime_syntax_valid.txt", parses, true);
	vectors_check("datetime_syntax_invalid.txt", parses, false);
	vectors_check("datetime_parse_invalid.txt", parses, false);
	values();
	refusals();
	calendar();
	borders();
	return done();
}
