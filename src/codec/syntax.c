/* SPDX-License-Identifier: MIT */
#include "codec/syntax.h"

enum { LABEL_MAX = 63 };

/* ASCII only, whatever the locale. */
static inline bool is_lower(uint8_t c)
{
	return c >= 'a' && c <= 'z';
}

/* The same: a letter of either case. */
static inline bool is_letter(uint8_t c)
{
	return is_lower(c | 0x20);
}

/* The same: 0 to 9. */
static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* The same: letter or digit. */
static inline bool is_alnum(uint8_t c)
{
	return is_letter(c) || is_digit(c);
}

/* True if s begins with text. */
static bool has_prefix(struct slice s, const char *text)
{
	size_t n = strlen(text);

	return s.n >= n && memcmp(s.p, text, n) == 0;
}

/* Cuts s at its first c: returns what is before it and leaves what is after it (empty if there is
 * none). */
static struct slice cut(struct slice *s, uint8_t c)
{
	const uint8_t *at = s->n ? memchr(s->p, c, s->n) : NULL;
	size_t n = at ? (size_t)(at - s->p) : s->n;
	struct slice before = slice_of(s->p, n);

	*s = at ? slice_of(at + 1, s->n - n - 1) : slice_of(slice_end(*s), 0);
	return before;
}

bool did_valid(struct slice s)
{
	size_t i = 4;

	if (s.n > DID_MAX || !has_prefix(s, "did:"))
		return false;
	while (i < s.n && is_lower(s.p[i]))
		i++;
	if (i == 4 || i == s.n || s.p[i++] != ':' || i == s.n)
		return false;
	for (; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!is_alnum(c) && c != '.' && c != '_' && c != '-' && c != ':' && c != '%')
			return false;
	}
	return s.p[s.n - 1] != ':' && s.p[s.n - 1] != '%';
}

/* One DNS label: letters, digits and inner hyphens. */
static bool label_valid(struct slice s)
{
	if (s.n < 1 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

/* Labels between dots, none empty; *ret_first and *ret_last are the outer ones. Returns their
 * number, 0 if one is no label. */
static size_t labels(struct slice s, struct slice *ret_first, struct slice *ret_last)
{
	size_t n = 0, left = s.n;

	do {
		struct slice label = cut(&s, '.');

		if (!label_valid(label))
			return 0;
		if (n++ == 0)
			*ret_first = label;
		*ret_last = label;
		left -= label.n;
		if (left == 0)
			return n;
		left--;
	} while (true);
}

bool handle_valid(struct slice s)
{
	struct slice first, last;

	return s.n <= HANDLE_MAX && labels(s, &first, &last) >= 2 && !is_digit(last.p[0]);
}

bool nsid_valid(struct slice s)
{
	struct slice first, last;

	/* no limit for the authority alone: the interop vectors accept 283 characters of it */
	if (s.n > NSID_MAX || labels(s, &first, &last) < 3)
		return false;
	return !is_digit(first.p[0]) && !is_digit(last.p[0]) && !memchr(last.p, '-', last.n);
}

bool rkey_valid(struct slice s)
{
	if (s.n < 1 || s.n > RKEY_MAX || slice_is(s, ".") || slice_is(s, ".."))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!is_alnum(c) && c != '.' && c != '_' && c != '~' && c != ':' && c != '-')
			return false;
	}
	return true;
}

bool aturi_parse(struct slice s, struct aturi *ret_uri)
{
	struct aturi uri = { 0 };
	struct slice rest;

	if (s.n > ATURI_MAX || !has_prefix(s, "at://") || s.p[s.n - 1] == '/')
		return false;
	rest = slice_of(s.p + 5, s.n - 5);
	uri.authority = cut(&rest, '/');
	uri.authority_is_did = did_valid(uri.authority);
	if (!uri.authority_is_did && !handle_valid(uri.authority))
		return false;
	if (rest.n) {
		uri.collection = cut(&rest, '/');
		uri.rkey = rest;
		if (!nsid_valid(uri.collection) || (rest.n && !rkey_valid(rest)))
			return false;
	}
	*ret_uri = uri;
	return true;
}

bool repo_path_parse(struct slice s, struct slice *ret_collection, struct slice *ret_rkey)
{
	struct slice rest = s, collection = cut(&rest, '/');

	if (!nsid_valid(collection) || !rkey_valid(rest))
		return false;
	*ret_collection = collection;
	*ret_rkey = rest;
	return true;
}
