/* SPDX-License-Identifier: MIT */
#include "script.h"

#include "codec/json.h"
#include "domain/collection.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void die(const struct script *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "test-frames: line %d: ", s->line);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(64);
}

/* ---- names ---- */

void did_of(const struct script *s, const char *name, char ret[NAME_SIZE])
{
	int n;

	if (!*name)
		die(s, "no name");
	if (strncmp(name, "did:", 4) == 0)
		n = snprintf(ret, NAME_SIZE, "%s", name);
	else
		n = snprintf(ret, NAME_SIZE, "did:web:%s%s%s.test", name, *s->scope ? "." : "", s->scope);
	if (n >= NAME_SIZE)
		die(s, "name too long");
}

/* The NSID that ends in this word. */
static const char *nsid_of(const struct script *s, const char *name)
{
	if (strchr(name, '.'))
		return name;
	for (int i = 1; i < n_collections; i++)
		if (strcmp(strrchr(collections[i].nsid, '.') + 1, name) == 0)
			return collections[i].nsid;
	die(s, "no collection ends in %s", name);
}

uint64_t tid_of(uint64_t n)
{
	return (1735689600000000u + n) << 10;
}

void path_of(const struct script *s, const char *text, char ret[PATH_SIZE])
{
	char collection[PATH_SIZE], tid[TID_TEXT + 1];
	const char *slash = strchr(text, '/');

	if (!slash || strlen(text) >= PATH_SIZE)
		die(s, "no path: %.60s", text);
	snprintf(collection, sizeof collection, "%.*s", (int)(slash - text), text);
	if (slash[1] == '#') {
		tid_format(tid_of(strtoull(slash + 2, NULL, 10)), tid);
		slash = tid;
	} else {
		slash++;
	}
	if (snprintf(ret, PATH_SIZE, "%s/%s", nsid_of(s, collection), slash) >= PATH_SIZE)
		die(s, "path too long");
}

/* NAME/PATH as an at-uri. */
static void uri_of(const struct script *s, const char *text, struct buf *out)
{
	char name[NAME_SIZE], did[NAME_SIZE], path[PATH_SIZE];
	const char *slash = strchr(text, '/');

	if (!slash || slash - text >= NAME_SIZE)
		die(s, "no uri: %.60s", text);
	snprintf(name, sizeof name, "%.*s", (int)(slash - text), text);
	did_of(s, name, did);
	path_of(s, slash + 1, path);
	buf_printf(out, "at://%s/%s", did, path);
}

/* ---- JSON ---- */

static void put_did(const struct script *s, const char *text, struct buf *out)
{
	char did[NAME_SIZE];

	did_of(s, text, did);
	buf_printf(out, "\"%s\"", did);
}

static void put_uri(const struct script *s, const char *text, struct buf *out)
{
	buf_u8(out, '"');
	uri_of(s, text, out);
	buf_u8(out, '"');
}

static void put_ref(const struct script *s, const char *text, struct buf *out)
{
	struct cid cid = { .codec = CID_DAG_CBOR };
	char cid_text[CID_TEXT + 1];
	struct buf uri = BUF_INIT;

	uri_of(s, text, &uri);
	sha256(buf_slice(&uri), cid.digest);
	cid_to_text(&cid, cid_text);
	buf_printf(out, "{\"uri\":\"%s\",\"cid\":\"%s\"}", buf_str(&uri), cid_text);
	buf_done(&uri);
}

static void put_text(const struct script *s, const char *text, struct buf *out)
{
	(void)s;
	buf_u8(out, '"');
	for (unsigned long n = strtoul(text, NULL, 10); n; n--)
		buf_u8(out, (uint8_t)('a' + n % 26));
	buf_u8(out, '"');
}

static void put_array(const struct script *s, const char *text, struct buf *out)
{
	unsigned long n = strtoul(text, NULL, 10);

	(void)s;
	buf_u8(out, '[');
	for (unsigned long i = 0; i < n; i++)
		buf_printf(out, "%s%lu", i ? "," : "", i);
	buf_u8(out, ']');
}

static void put_nested(const struct script *s, const char *text, struct buf *out)
{
	unsigned long n = strtoul(text, NULL, 10);

	(void)s;
	for (unsigned long i = 0; i < n; i++)
		buf_u8(out, '[');
	for (unsigned long i = 0; i < n; i++)
		buf_u8(out, ']');
}

static const struct macro {
	const char *name;
	void (*put)(const struct script *s, const char *text, struct buf *out);
} macros[] = {
	{ "did", put_did },
	{ "uri", put_uri },
	{ "ref", put_ref },
	{ "text", put_text },
	{ "array", put_array },
	{ "nested", put_nested },
};

/* Expands the macro at p, if there is one; returns what follows it. */
static const char *put_macro(const struct script *s, const char *p, struct buf *out)
{
	for (size_t i = 0; i < sizeof macros / sizeof *macros; i++) {
		size_t n = strlen(macros[i].name);
		const char *end = strchr(p, ')');
		char text[PATH_SIZE];

		if (strncmp(p, macros[i].name, n) != 0 || p[n] != '(' || !end ||
			end - p >= (ptrdiff_t)sizeof text)
			continue;
		snprintf(text, sizeof text, "%.*s", (int)(end - p) - (int)n - 1, p + n + 1);
		macros[i].put(s, text, out);
		return end + 1;
	}
	buf_u8(out, (uint8_t)*p);
	return p + 1;
}

/* The record's JSON with its macros expanded. */
static void expand(const struct script *s, const char *p, struct buf *out)
{
	bool inside = false;

	while (*p) {
		if (inside && *p == '\\' && p[1])
			buf_u8(out, (uint8_t)*p++);
		else if (*p == '"')
			inside = !inside;
		if (!inside && isalpha((unsigned char)*p))
			p = put_macro(s, p, out);
		else
			buf_u8(out, (uint8_t)*p++);
	}
}

/* True if the object itself has that key (in quotes), not something inside it. */
static bool has_key(const char *p, const char *key)
{
	size_t n = strlen(key);
	int depth = 0;

	for (; *p; p++) {
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		if (*p != '"')
			continue;
		if (depth == 1 && strncmp(p, key, n) == 0 && p[n + strspn(p + n, " ")] == ':')
			return true;
		while (*++p && *p != '"')
			p += *p == '\\' && p[1];
		if (!*p)
			break;
	}
	return false;
}

/* Puts $type and createdAt into an object that lacks them. */
static void complete(struct buf *json, const char *path)
{
	char *text = strdup(buf_str(json));
	bool typed = has_key(text, "\"$type\""), dated = has_key(text, "\"createdAt\"");

	if (*text == '{' && !(typed && dated)) {
		const char *rest = text + 1 + strspn(text + 1, " ");

		buf_reset(json);
		buf_u8(json, '{');
		if (!typed)
			buf_printf(json, "\"$type\":\"%.*s\"", (int)strcspn(path, "/"), path);
		if (!dated)
			buf_printf(json, "%s\"createdAt\":\"%s\"", typed ? "" : ",", FRAME_TIME);
		buf_printf(json, "%s", *rest == '}' ? "" : ",");
		buf_add_str(json, rest);
	}
	free(text);
}

static void from_hex(const struct script *s, const char *text, struct buf *out)
{
	unsigned byte;

	for (; isxdigit((unsigned char)text[0]) && sscanf(text, "%2x", &byte) == 1; text += 2)
		buf_u8(out, (uint8_t)byte);
	if (strcmp(text, ")") != 0)
		die(s, "not hexadecimal: %.20s", text);
}

void record_of(struct script *s, const char *text, const char *path, bool verbatim, struct buf *out)
{
	buf_reset(&s->json);
	if (strncmp(text, "cbor(", 5) == 0) {
		from_hex(s, text + 5, out);
		return;
	}
	expand(s, text, &s->json);
	if (!verbatim)
		complete(&s->json, path);
	if (json_to_cbor(buf_slice(&s->json), &s->arena, out) != JSON_OK)
		die(s, "not a record: %.200s", buf_str(&s->json));
}
