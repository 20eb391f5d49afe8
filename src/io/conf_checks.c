/* SPDX-License-Identifier: MIT */
#include "io/conf_private.h"

#include "codec/syntax.h"

#include <ctype.h>
#include <stdlib.h>

enum {
	SOCKET_PATH_MAX = 107,	/* sun_path without its NUL */
	DIR_MAX_BYTES = 68,	/* + "/" + 32 of name + ".sock" fits there */
	REDIS_KEY_MAX = 128,
	REDIS_DB_MAX = 65535,
};

/* The text behind a prefix, or NULL. */
static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* n decimal digits making a number of min..max. */
static bool is_number(const char *p, size_t n, long min, long max)
{
	long v = 0;

	if (n == 0 || n > 9)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)p[i]))
			return false;
		v = v * 10 + (p[i] - '0');
	}
	return v >= min && v <= max;
}

/* host or [v6]; host names are judged by the resolver, here only their bytes. */
static size_t host_length(const char *p)
{
	size_t n;

	if (*p == '[') {
		n = 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		return n > 1 && p[n] == ']' ? n + 1 : 0;
	}
	return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
}

/* host[:port] over exactly n bytes. */
static bool is_authority(const char *p, size_t n, bool need_port)
{
	size_t host = host_length(p);

	if (host == 0 || host > n)
		return false;
	if (host == n)
		return !need_port;
	return p[host] == ':' && is_number(p + host + 1, n - host - 1, 1, 65535);
}

/* authority[/path] without spaces, fragments and user names. */
static bool is_url_rest(const char *rest)
{
	if (strpbrk(rest, " #@"))
		return false;
	return is_authority(rest, strcspn(rest, "/?"), false);
}

bool conf_is_websocket_url(const char *text)
{
	const char *rest = after(text, "ws://");

	if (!rest)
		rest = after(text, "wss://");
	return rest && is_url_rest(rest);
}

bool conf_is_http_url(const char *text)
{
	const char *rest = after(text, "http://");

	if (!rest)
		rest = after(text, "https://");
	return rest && is_url_rest(rest);
}

/* path[?db=N] */
static bool is_redis_path(const char *path)
{
	size_t n = strcspn(path, "?");
	const char *query = path + n;

	if (path[0] != '/' || n < 2 || n > SOCKET_PATH_MAX)
		return false;
	if (!*query)
		return true;
	query = after(query, "?db=");
	return query && is_number(query, strlen(query), 0, REDIS_DB_MAX);
}

bool conf_is_redis_url(const char *text)
{
	const char *p = after(text, "unix://"), *at;
	size_t n;

	if (p)
		return is_redis_path(p);
	p = after(text, "redis://");
	if (!p)
		return false;
	at = strrchr(p, '@');
	if (at && (p[0] != ':' || at == p + 1))
		return false;
	p = at ? at + 1 : p;
	n = strcspn(p, "/");
	if (!is_authority(p, n, false))
		return false;
	p += n;
	return p[0] == 0 || p[1] == 0 || is_number(p + 1, strlen(p + 1), 0, REDIS_DB_MAX);
}

bool conf_is_listen(const char *text)
{
	return text[0] == 0 || is_authority(text, strlen(text), true);
}

bool conf_is_path(const char *text)
{
	return text[0] == 0 || (text[0] == '/' && strlen(text) < 4096);
}

bool conf_is_dir(const char *text)
{
	return conf_is_path(text) && strlen(text) <= DIR_MAX_BYTES;
}

bool conf_is_start(const char *text)
{
	size_t n = strlen(text);

	if (strcmp(text, "live") == 0 || strcmp(text, "oldest") == 0)
		return true;
	/* a seq is a signed 64-bit number on the wire; 18 digits always fit */
	return n > 0 && n <= 18 && strspn(text, "0123456789") == n;
}

bool conf_is_collection(const char *text)
{
	size_t n = strlen(text);
	char probe[NSID_MAX + 1];

	if (strcmp(text, "*") == 0)
		return true;
	if (n < 3 || n > NSID_MAX || strcmp(text + n - 2, ".*") != 0)
		return nsid_valid(slice_str(text));
	/* "app.bsky.*" is good if "app.bsky.x" is (and "app.*" if "app.x.x" is) */
	memcpy(probe, text, n - 1);
	memcpy(probe + n - 1, "x", 2);
	if (nsid_valid(slice_str(probe)))
		return true;
	if (n + 2 > NSID_MAX)
		return false;
	memcpy(probe + n - 1, "x.x", 4);
	return nsid_valid(slice_str(probe));
}

bool conf_is_name(const char *text)
{
	size_t n = strlen(text);

	return n >= 1 && n <= 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

bool conf_is_redis_key(const char *text)
{
	size_t n = strlen(text);

	return n >= 1 && n <= REDIS_KEY_MAX && !strchr(text, ' ');
}

void conf_mask_redis_url(const char *text, struct buf *out)
{
	const char *start = strstr(text, "://"), *at = strrchr(text, '@');

	start = start ? strchr(start + 3, ':') : NULL;
	if (!start || !at || start > at) {
		buf_add_str(out, text);
		return;
	}
	buf_add(out, text, (size_t)(start + 1 - text));
	buf_printf(out, "***%s", at);
}

/* Is it one of the settings of libpq whose value nobody may see? */
static bool is_secret(const char *name, size_t n)
{
	/* "passwd" and "pass" are none, but what stands behind them is meant to be one */
	static const char *const secrets[] = { "password", "passwd", "pass", "sslpassword", "oauth_client_secret",
		"scram_client_key", "scram_server_key" };

	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
		if (strlen(secrets[i]) == n && memcmp(secrets[i], name, n) == 0)
			return true;
	return false;
}

/* postgresql://user:password@host/db?password=...: as libpq, user and password end at the first @.
 */
static void mask_uri(const char *text, const char *p, struct buf *out)
{
	const char *end = p + strcspn(p, "@/"), *colon = memchr(p, ':', (size_t)(end - p));
	const char *query;

	if (*end == '@' && colon) {
		buf_add(out, text, (size_t)(colon + 1 - text));
		buf_add_str(out, "***");
		text = end;
	}
	query = strchr(text, '?');
	if (!query)
		query = text + strlen(text);
	buf_add(out, text, (size_t)(query - text));
	while (*query) {
		size_t name = strcspn(query + 1, "=&"), n = strcspn(query + 1, "&");

		if (is_secret(query + 1, name))
			buf_printf(out, "%.*s=***", (int)name + 1, query);
		else
			buf_add(out, query, n + 1);
		query += n + 1;
	}
}

/* Bytes of a value of `name = value`: quoted or up to a space, with backslash escapes. */
static size_t value_length(const char *p)
{
	bool quoted = *p == '\'';
	size_t n = quoted;

	while (p[n] && (quoted ? p[n] != '\'' : !isspace((unsigned char)p[n])))
		n += p[n] == '\\' && p[n + 1] ? 2 : 1;
	return n + (quoted && p[n]);
}

void conf_mask_conninfo(const char *text, struct buf *out)
{
	static const char spaces[] = " \t\n\r\f\v";
	const char *p = text, *rest = after(text, "postgresql://");

	if (!rest)
		rest = after(text, "postgres://");
	if (rest) {
		mask_uri(text, rest, out);
		return;
	}
	while (*p) {
		size_t lead = strspn(p, spaces), name = strcspn(p + lead, " \t\n\r\f\v=");
		size_t n = lead + name;
		bool secret = is_secret(p + lead, name);

		n += strspn(p + n, spaces);
		if (p[n] != '=' && name > 0) { /* the rest of a secret that was not quoted? */
			buf_printf(out, "%.*s***", (int)lead, p);
			p += lead + name;
			continue;
		}
		n += p[n] == '=';
		n += strspn(p + n, spaces);
		buf_add(out, p, n);
		p += n;
		n = value_length(p);
		if (secret)
			buf_add_str(out, "***");
		else
			buf_add(out, p, n);
		p += n;
	}
}
