/* SPDX-License-Identifier: MIT */
#include "io/websocket_upgrade.h"

#include "io/websocket.h"

#include <openssl/evp.h>

#include <assert.h>
#include <stdio.h>
#include <strings.h>

/* Only printable ASCII may come near a request line. */
static bool url_bytes_ok(const char *url)
{
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '#' || *p == '\\')
			return false;
	return true;
}

/* Takes the host (a name, an IPv4 address or [IPv6]) at *p; false if there is none or it is too
 * long. */
static bool take_host(const char **p, struct websocket_url *ret)
{
	bool brackets = **p == '[';
	const char *from = *p + brackets;
	size_t n = strcspn(from, brackets ? "]" : ":/?");

	if (n == 0 || n >= sizeof ret->host || (brackets && from[n] != ']'))
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = from[i];
		bool upper = c >= 'A' && c <= 'Z';

		if (upper)
			c = (char)(c + 'a' - 'A');
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr("-._", c) &&
			!(brackets && c == ':'))
			return false;
		ret->host[i] = c;
	}
	ret->host[n] = '\0';
	*p = from + n + brackets;
	return true;
}

/* Takes ":port" at *p or sets the scheme's; false if it is no port number. */
static bool take_port(const char **p, struct websocket_url *ret)
{
	unsigned port = ret->tls ? 443 : 80;

	if (**p == ':') {
		const char *digits = *p + 1;
		size_t n = strspn(digits, "0123456789");

		if (n == 0 || n > 5 || sscanf(digits, "%5u", &port) != 1 || port == 0 ||
			port > 65535)
			return false;
		*p = digits + n;
	}
	snprintf(ret->port, sizeof ret->port, "%u", port & 0xffff);
	return true;
}

bool websocket_url_parse(const char *url, struct websocket_url *ret)
{
	const char *p;
	bool v6;

	*ret = (struct websocket_url){ 0 };
	if (!url_bytes_ok(url))
		return false;
	if (strncasecmp(url, "wss://", 6) == 0)
		ret->tls = true;
	else if (strncasecmp(url, "ws://", 5) != 0)
		return false;
	p = url + (ret->tls ? 6 : 5);
	v6 = *p == '[';
	if (!take_host(&p, ret) || !take_port(&p, ret) || (*p && *p != '/' && *p != '?'))
		return false;
	snprintf(ret->authority, sizeof ret->authority, "%s%s%s:%s", v6 ? "[" : "", ret->host,
		v6 ? "]" : "", ret->port);
	ret->target = p;
	return true;
}

bool websocket_url_valid(const char *url, char *ret_host, size_t size)
{
	struct websocket_url parsed;

	if (!websocket_url_parse(url, &parsed))
		return false;
	snprintf(ret_host, size, "%s://%s", parsed.tls ? "wss" : "ws", parsed.authority);
	return true;
}

void websocket_upgrade_begin(struct websocket_upgrade *u, const uint8_t nonce[UPGRADE_NONCE])
{
	static const char guid[] =
		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[sizeof u->key + sizeof guid];
	unsigned n = 0;
	int n_text;

	*u = (struct websocket_upgrade){ 0 };
	EVP_EncodeBlock((unsigned char *)u->key, nonce, UPGRADE_NONCE);
	n_text = snprintf(text, sizeof text, "%s%s", u->key, guid);
	if (EVP_Digest(text, (size_t)n_text, digest, &n, EVP_sha1(), NULL) != 1)
		assert(!"SHA-1 is there");
	EVP_EncodeBlock((unsigned char *)u->accept, digest, (int)n);
}

void websocket_upgrade_request(
	const struct websocket_upgrade *u, const struct websocket_url *url, struct buf *out)
{
	bool default_port = strcmp(url->port, url->tls ? "443" : "80") == 0;
	size_t n = strlen(url->authority) - (default_port ? strlen(url->port) + 1 : 0);

	buf_printf(out, "GET %s%s HTTP/1.1\r\nHost: %.*s\r\n", url->target[0] == '/' ? "" : "/",
		url->target, (int)n, url->authority);
	buf_printf(out,
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: %s\r\nUser-Agent: standpipe/" STANDPIPE_VERSION "\r\n\r\n",
		u->key);
}

/* Without blanks at both ends. */
static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_of(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Header names and tokens know no case. */
static bool is_word(struct slice s, const char *word)
{
	return s.n == strlen(word) && strncasecmp((const char *)s.p, word, s.n) == 0;
}

/* True if a comma-separated list holds the word. */
static bool has_word(struct slice list, const char *word)
{
	while (list.n) {
		const uint8_t *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;

		if (is_word(trim(slice_of(list.p, n)), word))
			return true;
		n += comma != NULL;
		list = slice_of(list.p + n, list.n - n);
	}
	return false;
}

/* Seconds of a Retry-After header; 0 for its date form, which no relay uses. */
static int retry_after_of(struct slice value)
{
	int s = 0;

	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return 0;
		s = s * 10 + (value.p[i] - '0');
		if (s > UPGRADE_MAX_RETRY_S)
			return UPGRADE_MAX_RETRY_S;
	}
	return s;
}

/* What the header lines of an answer said. */
struct seen {
	bool upgrade, connection, accept, extension, protocol;
};

/* Notes what one header line means for us. */
static void take_header(
	struct websocket_upgrade *u, struct slice name, struct slice value, struct seen *seen)
{
	if (is_word(name, "Upgrade"))
		seen->upgrade |= has_word(value, "websocket");
	else if (is_word(name, "Connection"))
		seen->connection |= has_word(value, "Upgrade");
	else if (is_word(name, "Sec-WebSocket-Accept"))
		seen->accept = slice_is(value, u->accept);
	else if (is_word(name, "Sec-WebSocket-Extensions"))
		seen->extension = true;
	else if (is_word(name, "Sec-WebSocket-Protocol"))
		seen->protocol = true;
	else if (is_word(name, "Retry-After"))
		u->retry_after_s = retry_after_of(value);
}

/* Takes one line (without its end) off *rest; false at the end. */
static bool next_line(struct slice *rest, struct slice *ret_line)
{
	const uint8_t *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	size_t n;

	if (!end)
		return false;
	n = (size_t)(end - rest->p);
	*ret_line = slice_of(rest->p, n && rest->p[n - 1] == '\r' ? n - 1 : n);
	*rest = slice_of(end + 1, rest->n - n - 1);
	return true;
}

/* "HTTP/1.1 101 whatever": the number, or 0 if it is no status line. */
static int status_of(struct slice line)
{
	int status = 0;

	if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ' ||
		(line.n > 12 && line.p[12] != ' '))
		return 0;
	for (int i = 9; i < 12; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return 0;
		status = status * 10 + (line.p[i] - '0');
	}
	return status;
}

/* What is wrong with the headers of a 101, NULL if nothing. */
static const char *lack_of(const struct seen *seen)
{
	if (!seen->upgrade)
		return "no Upgrade: websocket";
	if (!seen->connection)
		return "no Connection: Upgrade";
	if (!seen->accept)
		return "a missing or wrong Sec-WebSocket-Accept";
	if (seen->extension)
		return "an extension that was not asked for";
	return seen->protocol ? "a subprotocol that was not asked for" : NULL;
}

/* Judges a complete answer. */
static enum upgrade_status judge(struct websocket_upgrade *u, struct slice head, struct err *err)
{
	struct seen seen = { 0 };
	struct slice line, first = { 0 };
	const char *lack;

	if (next_line(&head, &first))
		u->http_status = status_of(first);
	if (u->http_status == 0) {
		err_set(err, "the answer is not HTTP");
		return UPGRADE_E_BAD;
	}
	while (next_line(&head, &line)) {
		const uint8_t *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
		size_t n = colon ? (size_t)(colon - line.p) : 0;

		if (colon)
			take_header(u, slice_of(line.p, n),
				trim(slice_of(colon + 1, line.n - n - 1)), &seen);
	}
	if (u->http_status != 101) {
		err_set(err, "%.*s", (int)(first.n > 100 ? 100 : first.n), (const char *)first.p);
		return UPGRADE_E_REFUSED;
	}
	lack = lack_of(&seen);
	if (lack) {
		err_set(err, "101 with %s", lack);
		return UPGRADE_E_BAD;
	}
	return UPGRADE_OK;
}

/* Length of the answer's head including its blank line, 0 if it is not complete. */
static size_t head_length(struct slice s, size_t from)
{
	for (size_t i = from > 3 ? from - 3 : 0; i < s.n; i++) {
		if (s.p[i] != '\n')
			continue;
		if (i + 1 < s.n && s.p[i + 1] == '\n')
			return i + 2;
		if (i + 2 < s.n && s.p[i + 1] == '\r' && s.p[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

enum upgrade_status websocket_upgrade_feed(
	struct websocket_upgrade *u, struct slice bytes, size_t *ret_used, struct err *err)
{
	size_t before = u->answer.n, room = UPGRADE_MAX_ANSWER - before;
	size_t take = bytes.n < room ? bytes.n : room, n;

	buf_add(&u->answer, bytes.p, take);
	*ret_used = take;
	n = head_length(buf_slice(&u->answer), before);
	if (n > 0) {
		*ret_used = n - before;
		return judge(u, slice_of(u->answer.p, n), err);
	}
	if (u->answer.n < UPGRADE_MAX_ANSWER)
		return UPGRADE_MORE;
	err_set(err, "an answer without an end in %d bytes", UPGRADE_MAX_ANSWER);
	return UPGRADE_E_BAD;
}

void websocket_upgrade_done(struct websocket_upgrade *u)
{
	buf_done(&u->answer);
}
