/* SPDX-License-Identifier: MIT
 *
 * Identifiers and datetimes: what is accepted has the parts it is said to have, is the only form where there
 * is but one, and may stand where such a thing may stand.
 */
#include "tests/fuzz/fuzz.h"

#include "codec/cid.h"
#include "codec/datetime.h"
#include "codec/syntax.h"
#include "codec/tid.h"

#include <stdbool.h>
#include <time.h>

static struct slice joined(uint8_t *room, const char *before, struct slice s, const char *after)
{
	size_t n_before = strlen(before), n_after = strlen(after);

	memcpy(room, before, n_before);
	if (s.n)
		memcpy(room + n_before, s.p, s.n);
	memcpy(room + n_before + s.n, after, n_after);
	return slice_of(room, n_before + s.n + n_after);
}

static void check_tid(struct slice s)
{
	char text[TID_TEXT + 1];
	uint64_t value;

	if (!tid_parse(s, &value))
		return;
	tid_format(value, text);
	MUST(slice_is(s, text) && rkey_valid(s));
	MUST(tid_time_us(value) >= 0);
}

static void check_cid_text(struct slice s)
{
	char text[CID_TEXT + 1];
	struct cid cid;

	if (!cid_from_text(s, &cid))
		return;
	cid_to_text(&cid, text);
	MUST(slice_is(s, text));
}

static int number(const uint8_t *p, int n)
{
	int v = 0;

	while (n-- > 0)
		v = v * 10 + (*p++ - '0');
	return v;
}

/* The C library's idea of an accepted datetime, without the fraction. */
static int64_t seconds_of(struct slice s)
{
	struct tm tm = {.tm_year = number(s.p, 4) - 1900, .tm_mon = number(s.p + 5, 2) - 1, .tm_mday = number(s.p + 8, 2),
		.tm_hour = number(s.p + 11, 2), .tm_min = number(s.p + 14, 2), .tm_sec = number(s.p + 17, 2)};
	int64_t t = timegm(&tm);
	const uint8_t *zone = s.p + s.n - 6;

	if (s.p[s.n - 1] == 'Z')
		return t;
	return t - (zone[0] == '-' ? -1 : 1) * (number(zone + 1, 2) * 3600 + number(zone + 4, 2) * 60);
}

static void check_datetime(struct slice s)
{
	char text[DATETIME_TEXT + 1];
	int64_t us, again, fraction;

	if (!datetime_parse(s, &us)) {
		MUST(!datetime_canonical(s, &us));
		return;
	}
	fraction = us - seconds_of(s) * 1000000;
	MUST(fraction >= 0 && fraction < 1000000);
	datetime_format(us, text);
	if (datetime_canonical(s, &again))
		MUST(again == us && slice_is(s, text));
	MUST(datetime_parse(slice_str(text), &again) && again <= us && us - again < 1000);
}

static void check_uri(struct slice s)
{
	struct aturi uri;

	if (!aturi_parse(s, &uri))
		return;
	MUST(uri.authority.p == s.p + 5 && s.n <= ATURI_MAX);
	MUST(uri.authority_is_did ? did_valid(uri.authority) : handle_valid(uri.authority));
	MUST(uri.collection.n == 0 || nsid_valid(uri.collection));
	MUST(uri.rkey.n == 0 || (uri.collection.n && rkey_valid(uri.rkey)));
	MUST(5 + uri.authority.n + (uri.collection.n ? 1 + uri.collection.n : 0) +
			(uri.rkey.n ? 1 + uri.rkey.n : 0) == s.n);
}

static void check_names(struct slice s)
{
	static uint8_t room[ATURI_MAX * 2];
	struct slice collection, rkey;
	struct aturi uri;

	if (did_valid(s)) {
		MUST(s.n <= DID_MAX && aturi_parse(joined(room, "at://", s, "/a.b.c/self"), &uri));
		MUST(uri.authority_is_did && slice_eq(uri.authority, s) && slice_is(uri.rkey, "self"));
		MUST(rkey_valid(s) == (s.n <= RKEY_MAX && !memchr(s.p, '%', s.n)));
	}
	if (handle_valid(s)) {
		MUST(s.n <= HANDLE_MAX && aturi_parse(joined(room, "at://", s, ""), &uri));
		MUST(!uri.authority_is_did && slice_eq(uri.authority, s));
	}
	if (nsid_valid(s)) {
		MUST(repo_path_parse(joined(room, "", s, "/self"), &collection, &rkey));
		MUST(slice_eq(collection, s) && slice_is(rkey, "self"));
	}
	if (s.n < ATURI_MAX && rkey_valid(s)) {
		MUST(repo_path_parse(joined(room, "a.b.c/", s, ""), &collection, &rkey));
		MUST(slice_is(collection, "a.b.c") && slice_eq(rkey, s));
	}
	if (repo_path_parse(s, &collection, &rkey))
		MUST(nsid_valid(collection) && rkey_valid(rkey) && collection.n + 1 + rkey.n == s.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice s = slice_of(data, n);

	check_tid(s);
	check_cid_text(s);
	check_datetime(s);
	check_uri(s);
	check_names(s);
	return 0;
}
