/* SPDX-License-Identifier: MIT */
#include "io/conf_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* Where the scan stands. Follows libconfig's lexer: comments, strings, names, numbers. */
struct scan {
	const char *p, *end;
	int line, n_problems;
	int depth;		    /* of { */
	bool hopeless;		    /* the rest is not worth parsing */
	struct slice section, name; /* the last names on depth 0 and 1 */
	const char *file;
	struct buf *problems, *text;
};

/* "FILE:LINE: section.key: " */
static void say_where(struct scan *s)
{
	buf_printf(s->problems, "%s:%d: ", s->file, s->line);
	if (s->section.n)
		buf_printf(s->problems, "%.*s%s%.*s: ", SLICE_ARG(s->section), s->depth ? "." : "",
			s->depth ? (int)s->name.n : 0, (const char *)s->name.p);
	s->n_problems++;
}

/* Copies up to `to` (not past the end), counting lines. */
static void copy_to(struct scan *s, const char *to)
{
	if (to > s->end)
		to = s->end;
	for (const char *q = s->p; q < to; q++)
		s->line += *q == '\n';
	buf_add(s->text, s->p, (size_t)(to - s->p));
	s->p = to;
}

static void scan_string(struct scan *s)
{
	const char *q = s->p + 1;

	while (q < s->end && *q != '"')
		q += *q == '\\' ? 2 : 1;
	/* libconfig would name the last line of the file, which helps nobody */
	if (q >= s->end) {
		say_where(s);
		buf_add_str(
			s->problems, "a string begins here that never ends; accepted: \"...\"\n");
		s->hopeless = true;
	}
	copy_to(s, q + 1);
}

/* True if a comment began here and was copied. */
static bool scan_comment(struct scan *s)
{
	size_t left = (size_t)(s->end - s->p);
	const char *q;

	if (left >= 2 && memcmp(s->p, "/*", 2) == 0) {
		q = memmem(s->p + 2, left - 2, "*/", 2);
		copy_to(s, q ? q + 2 : s->end);
		return true;
	}
	if (*s->p != '#' && !(left >= 2 && memcmp(s->p, "//", 2) == 0))
		return false;
	q = memchr(s->p, '\n', left);
	copy_to(s, q ? q : s->end);
	return true;
}

static void scan_name(struct scan *s)
{
	const char *q = s->p;

	while (q < s->end && (isalnum((unsigned char)*q) || *q == '_' || *q == '-' || *q == '*'))
		q++;
	if (s->depth == 0)
		s->section = slice_of(s->p, (size_t)(q - s->p));
	else if (s->depth == 1)
		s->name = slice_of(s->p, (size_t)(q - s->p));
	copy_to(s, q);
}

/* Does the literal [p, end) fit into an int (long: into 64 bits)? */
static bool fits(const char *p, const char *end, bool is_long)
{
	char digits[64];
	size_t n = (size_t)(end - p);
	bool negative = *p == '-', hex = n > 2 && (p[1] == 'x' || p[1] == 'X');
	unsigned long long v, max = is_long ? INT64_MAX : INT32_MAX;

	if (n >= sizeof digits)
		return false;
	memcpy(digits, p, n);
	digits[n] = 0;
	errno = 0;
	v = strtoull(digits + (*p == '-' || *p == '+'), NULL, hex ? 16 : 10);
	return errno == 0 && v <= max + negative;
}

static void scan_number(struct scan *s)
{
	const char *q = s->p, *end;
	bool hex = s->end - q > 2 && q[0] == '0' && (q[1] == 'x' || q[1] == 'X');

	q += hex ? 2 : *q == '-' || *q == '+';
	while (q < s->end && (hex ? isxdigit((unsigned char)*q) : isdigit((unsigned char)*q)))
		q++;
	end = q;
	if (!hex && q < s->end && (*q == '.' || *q == 'e' || *q == 'E')) {
		while (q < s->end && (isdigit((unsigned char)*q) || strchr(".eE+-", *q)))
			q++;
		copy_to(s, q);
		return;
	}
	while (q < s->end && *q == 'L')
		q++;
	if (!fits(s->p, end, true)) {
		say_where(s);
		buf_printf(s->problems,
			"%.*s does not fit 64 bits; accepted: whole numbers up to %lld\n",
			(int)(end - s->p), s->p, (long long)INT64_MAX);
	} else if (q == end && !fits(s->p, end, false)) {
		say_where(s);
		buf_printf(s->problems,
			"%.*s does not fit 32 bits; accepted: %.*sL (with an L at its end)\n",
			(int)(end - s->p), s->p, (int)(end - s->p), s->p);
		copy_to(s, end);
		buf_u8(s->text, 'L');
	}
	copy_to(s, q);
}

/* One token or byte. */
static void scan_token(struct scan *s)
{
	unsigned char c = (unsigned char)*s->p;

	if (scan_comment(s))
		return;
	if (c == '"') {
		scan_string(s);
	} else if (isalpha(c) || c == '*') {
		scan_name(s);
	} else if (isdigit(c) || ((c == '-' || c == '+') && s->p + 1 < s->end &&
			isdigit((unsigned char)s->p[1]))) {
		scan_number(s);
	} else {
		s->depth += c == '{';
		s->depth -= c == '}' && s->depth > 0;
		copy_to(s, s->p + 1);
	}
}

/* True if there stands what no parsing can mend. */
static bool scan_refused(struct scan *s)
{
	static const char include[] = "@include";
	size_t left = (size_t)(s->end - s->p);

	if (*s->p == 0) {
		buf_printf(s->problems, "%s:%d: NUL byte; accepted: text\n", s->file, s->line);
		return true;
	}
	if (left < sizeof include - 1 || memcmp(s->p, include, sizeof include - 1) != 0)
		return false;
	buf_printf(s->problems,
		"%s:%d: @include is refused: the processes are handed this file's bytes; "
		"accepted: one file with everything in it\n",
		s->file, s->line);
	return true;
}

int conf_scan(struct slice bytes, const char *name, struct buf *problems, struct buf *ret_text)
{
	struct scan s = { .p = (const char *)bytes.p, .line = 1, .file = name, .problems = problems,
		.text = ret_text };

	s.end = (const char *)slice_end(bytes);
	while (s.p < s.end) {
		if (scan_refused(&s))
			return -1;
		scan_token(&s);
	}
	if (s.hopeless)
		return -1;
	/* one inside a string or comment would end libconfig's text early */
	if (ret_text->n && memchr(ret_text->p, 0, ret_text->n)) {
		buf_printf(problems, "%s:1: NUL byte; accepted: text\n", name);
		return -1;
	}
	return s.n_problems;
}
