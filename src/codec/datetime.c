/* SPDX-License-Identifier: MIT */
#include "codec/datetime.h"

enum {
	DATETIME_MAX = 64, /* characters; the reference implementation's limit */
	YEAR_MAX = 9999,
	CANONICAL_DOT = 19,
};

static const int64_t second_us = 1000000, day_us = 86400 * (int64_t)1000000;
/* 0000-01-01T00:00:00Z, 0001-01-01T00:00:00Z and the last microsecond of 9999. */
static const int64_t year0_us = -62167219200 * (int64_t)1000000;
static const int64_t year1_us = -62135596800 * (int64_t)1000000;
static const int64_t last_us = 253402300800 * (int64_t)1000000 - 1;

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar; year >= 0. Years are counted
 * from March, so that the leap day comes last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year + 399 : year + 400; /* one era later: never negative */
	int64_t m = month <= 2 ? month + 9 : month - 3;
	int64_t era = y / 400, of_era = y % 400;
	int64_t day_of_year = (153 * m + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468 -
	       146097;
}

/* Length of a month (1..12). */
static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* The number of n digits at position i, or -1. */
static int number(struct slice s, size_t i, size_t n)
{
	int value = 0;

	if (i + n > s.n)
		return -1;
	for (size_t end = i + n; i < end; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		value = value * 10 + (s.p[i] - '0');
	}
	return value;
}

/* True if s has c at position i. */
static bool is_at(struct slice s, size_t i, char c)
{
	return i < s.n && s.p[i] == (uint8_t)c;
}

/* "YYYY-MM-DDTHH:MM:SS" at the beginning of s, in microseconds. */
static bool parse_seconds(struct slice s, int64_t *ret_us)
{
	int year = number(s, 0, 4), month = number(s, 5, 2), day = number(s, 8, 2);
	int hour = number(s, 11, 2), minute = number(s, 14, 2), second = number(s, 17, 2);

	if (!is_at(s, 4, '-') || !is_at(s, 7, '-') || !is_at(s, 10, 'T') || !is_at(s, 13, ':') ||
		!is_at(s, 16, ':'))
		return false;
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
		return false;
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return false;
	*ret_us = days_of(year, month, day) * day_us +
		  ((int64_t)hour * 3600 + minute * 60 + second) * second_us;
	return true;
}

/* ".digits" from *i on, if there is one; moves *i behind it. */
static bool parse_fraction(struct slice s, size_t *i, int64_t *ret_us)
{
	int64_t us = 0, unit = second_us / 10;
	size_t first = *i + 1;

	*ret_us = 0;
	if (!is_at(s, *i, '.'))
		return true;
	for (*i = first; *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9'; (*i)++) {
		us += (s.p[*i] - '0') * unit;
		unit /= 10;
	}
	*ret_us = us;
	return *i > first;
}

/* "Z" or "+hh:mm" from i to the end. */
static bool parse_zone(struct slice s, size_t i, int64_t *ret_us)
{
	int hour = number(s, i + 1, 2), minute = number(s, i + 4, 2);
	int64_t us = ((int64_t)hour * 60 + minute) * 60 * second_us;

	*ret_us = 0;
	if (is_at(s, i, 'Z'))
		return i + 1 == s.n;
	if ((!is_at(s, i, '+') && !is_at(s, i, '-')) || !is_at(s, i + 3, ':') || i + 6 != s.n)
		return false;
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || (is_at(s, i, '-') && us == 0))
		return false;
	*ret_us = is_at(s, i, '-') ? -us : us;
	return true;
}

bool datetime_parse(struct slice s, int64_t *ret_us)
{
	size_t i = CANONICAL_DOT;
	int64_t us, fraction, zone;

	if (s.n > DATETIME_MAX || !parse_seconds(s, &us) || !parse_fraction(s, &i, &fraction) ||
		!parse_zone(s, i, &zone))
		return false;
	us += fraction - zone;
	if (us < year0_us || us > last_us)
		return false;
	*ret_us = us;
	return true;
}

/* Writes value as n digits. */
static void put_number(char *at, size_t n, int64_t value)
{
	for (; n-- > 0; value /= 10)
		at[n] = (char)('0' + value % 10);
}

void datetime_format(int64_t us, char ret_text[DATETIME_TEXT + 1])
{
	int64_t t = (us < year0_us ? year0_us : us > last_us ? last_us : us) - year0_us;
	int64_t day = t / day_us, ms = t % day_us / 1000;
	int64_t year = day / 365; /* never too small; one step down per 365 leap days */
	int month = 1;

	day += year0_us / day_us;
	while (year > YEAR_MAX || days_of(year, 1, 1) > day)
		year--;
	day -= days_of(year, 1, 1);
	while (day >= days_in((int)year, month))
		day -= days_in((int)year, month++);
	memcpy(ret_text, "0000-00-00T00:00:00.000Z", DATETIME_TEXT + 1);
	put_number(ret_text, 4, year);
	put_number(ret_text + 5, 2, month);
	put_number(ret_text + 8, 2, day + 1);
	put_number(ret_text + 11, 2, ms / 3600000);
	put_number(ret_text + 14, 2, ms / 60000 % 60);
	put_number(ret_text + 17, 2, ms / 1000 % 60);
	put_number(ret_text + 20, 3, ms % 1000);
}

bool datetime_canonical(struct slice s, int64_t *ret_us)
{
	int64_t us;

	if (s.n != DATETIME_TEXT || !is_at(s, CANONICAL_DOT, '.') ||
		!is_at(s, DATETIME_TEXT - 1, 'Z') || !datetime_parse(s, &us) || us < year1_us)
		return false;
	*ret_us = us;
	return true;
}
