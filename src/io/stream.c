/* SPDX-License-Identifier: MIT */
#include "io/stream_private.h"

#include "base/buf.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *const status_names[N_STREAM_STATUS] = {
	[STREAM_OK] = "ok",
	[STREAM_E_DOWN] = "down",
	[STREAM_E_MOVED] = "moved",
	[STREAM_E_FULL] = "full",
	[STREAM_E_UNPREPARED] = "unprepared",
	[STREAM_E_NOGROUP] = "nogroup",
	[STREAM_E_STOP] = "stop",
	[STREAM_E_SETTINGS] = "settings",
};

const char *stream_status_name(enum stream_status status)
{
	return status_names[status];
}

/* A copy of text[0..n) with %XX decoded; NULL if an escape is broken or makes a NUL. */
static char *decode_percent(const char *text, size_t n)
{
	char *out = malloc(n + 1), *o = out;

	if (!out)
		abort();
	for (size_t i = 0; i < n; i++) {
		unsigned c = (unsigned char)text[i];
		int used = 0;

		if (c == '%' &&
			(n - i < 3 || sscanf(text + i, "%%%2x%n", &c, &used) != 1 || used != 3 ||
				c == 0)) {
			free(out);
			return NULL;
		}
		i += used ? 2 : 0;
		*o++ = (char)c;
	}
	*o = 0;
	return out;
}

/* Reads a decimal number of at most `max` that ends the text; -1 if it is none. */
static int parse_number(const char *text, int max)
{
	char *end;
	long v = strtol(text, &end, 10);

	return *text < '0' || *text > '9' || *end || v > max ? -1 : (int)v;
}

/* "[user][:password]" before the @. */
static int parse_user(struct stream *s, const char *text, size_t n)
{
	const char *colon = memchr(text, ':', n);
	size_t n_user = colon ? (size_t)(colon - text) : n;

	s->user = decode_percent(text, n_user);
	s->password = colon ? decode_percent(colon + 1, n - n_user - 1) : NULL;
	return s->user && (s->password || !colon) ? 0 : -1;
}

/* "host[:port]"; an IPv6 address stands in brackets. */
static int parse_host(struct stream *s, char *text)
{
	char *host = text, *rest = text;

	if (*text == '[') {
		host++;
		rest = strchr(host, ']');
		if (!rest)
			return -1;
		*rest++ = 0;
	} else {
		rest += strcspn(text, ":");
	}
	s->port = *rest == ':' ? parse_number(rest + 1, 65535) : *rest ? -1 : 6379;
	*rest = 0;
	s->host = strdup(host);
	return *host && s->port > 0 ? 0 : -1;
}

/* What follows "redis://": [[user]:password@]host[:port][/db]. */
static int parse_tcp(struct stream *s, char *text)
{
	char *at = strrchr(text, '@'), *slash;

	if (at && parse_user(s, text, (size_t)(at - text)) < 0)
		return -1;
	text = at ? at + 1 : text;
	slash = strchr(text, '/');
	if (slash) {
		*slash++ = 0;
		s->db = *slash ? parse_number(slash, 1 << 20) : 0;
	}
	if (s->db < 0 || parse_host(s, text) < 0)
		return -1;
	snprintf(s->address, sizeof s->address, "redis://%s%s%s:%d/%d",
		strchr(s->host, ':') ? "[" : "", s->host, strchr(s->host, ':') ? "]" : "", s->port,
		s->db);
	return 0;
}

/* What follows "unix://": path[?db=N]. */
static int parse_unix(struct stream *s, char *text)
{
	char *query = strchr(text, '?');

	if (query) {
		*query++ = 0;
		s->db = strncmp(query, "db=", 3) == 0 ? parse_number(query + 3, 1 << 20) : -1;
	}
	if (s->db < 0 || *text != '/')
		return -1;
	s->path = strdup(text);
	snprintf(s->address, sizeof s->address, "unix://%s", text);
	return 0;
}

/* Takes the URL apart; the password goes nowhere but into s->password. */
static int parse_url(struct stream *s, const char *url)
{
	char *copy = strdup(url);
	int r = -1;

	if (!copy)
		abort();
	if (strncmp(copy, "redis://", 8) == 0)
		r = parse_tcp(s, copy + 8);
	else if (strncmp(copy, "unix://", 7) == 0)
		r = parse_unix(s, copy + 7);
	free(copy);
	return r;
}

int stream_new(const struct stream_options *options, struct stream **ret_s, struct err *err)
{
	struct stream *s = calloc(1, sizeof *s);
	struct buf key = BUF_INIT;

	*ret_s = NULL;
	if (!s)
		abort();
	s->options = *options;
	buf_printf(&key, "%s:meta", options->name);
	s->meta_key = strdup(buf_str(&key));
	buf_reset(&key);
	buf_printf(&key, "%s:append", options->name);
	s->append_key = strdup(buf_str(&key));
	buf_done(&key);
	if (parse_url(s, options->url) < 0) {
		stream_free(s);
		return err_set(err,
			"redis.url is neither redis://[[user]:password@]host[:port][/db] nor "
			"unix:///path[?db=N]: correct it in the configuration");
	}
	*ret_s = s;
	return 0;
}

struct stream *stream_free(struct stream *s)
{
	if (!s)
		return NULL;
	stream_disconnect(s);
	free(s->host);
	free(s->path);
	free(s->user);
	free(s->password);
	free(s->meta_key);
	free(s->append_key);
	buf_done(&s->command);
	free(s->argv);
	free(s->argv_bytes);
	arena_done(&s->arena);
	free(s);
	return NULL;
}

int stream_fd(const struct stream *s)
{
	return s->c ? s->c->fd : -1;
}

const char *stream_address(const struct stream *s)
{
	return s->address;
}

void stream_disconnect(struct stream *s)
{
	if (s->c)
		redisFree(s->c);
	s->c = NULL;
	s->half = HALF_NONE;
	s->queued = false;
}

/* Ends an attempt to connect with "cannot connect". */
static enum stream_status refuse(struct stream *s, const char *why, struct err *err)
{
	stream_disconnect(s);
	err_set(err,
		"Redis at %s: cannot connect: %s: is it running there, and is redis.url right?",
		s->address, why);
	return STREAM_E_DOWN;
}

/* Opens the socket and waits until it is connected. */
static enum stream_status open_socket(struct stream *s, struct err *err)
{
	int64_t deadline_us = clock_mono_us() + STREAM_CONNECT_US;
	socklen_t n = sizeof(int);
	int problem = 0;

	s->c = s->path ? redisConnectUnixNonBlock(s->path) : redisConnectNonBlock(s->host, s->port);
	if (!s->c)
		abort();
	if (s->c->err) {
		char why[sizeof s->c->errstr];

		snprintf(why, sizeof why, "%s", s->c->errstr);
		return refuse(s, why, err);
	}
	switch (waiter_wait(&s->options.waiter, s->c->fd, POLLOUT, deadline_us)) {
	case WAIT_STOP:
		stream_disconnect(s);
		err_set(err, "Redis at %s: stopped while connecting", s->address);
		return STREAM_E_STOP;
	case WAIT_TIMEOUT:
		return refuse(s, "no answer for 5 s", err);
	case WAIT_READY:
		break;
	}
	if (getsockopt(s->c->fd, SOL_SOCKET, SO_ERROR, &problem, &n) < 0)
		problem = errno;
	return problem ? refuse(s, strerror(problem), err) : STREAM_OK;
}

/* First line of the password file, read at each connect so that a new secret needs no restart. */
static enum stream_status read_password(struct stream *s, char *ret, size_t size, struct err *err)
{
	const char *path = s->options.password_file;
	FILE *f = fopen(path, "re");

	if (!f || !fgets(ret, (int)size, f)) {
		err_set(err,
			"redis.password_file %s: %s: make it readable for this user, with the "
			"password as its first line",
			path, f && !ferror(f) ? "it is empty" : strerror(errno));
		if (f)
			fclose(f);
		stream_disconnect(s);
		return STREAM_E_DOWN;
	}
	fclose(f);
	ret[strcspn(ret, "\r\n")] = 0;
	return STREAM_OK;
}

/* Sends AUTH. Of a refusal only the code is told: the text might repeat what was sent. */
static enum stream_status authenticate(struct stream *s, const char *password, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	args_begin(s, "AUTH");
	if (s->user && *s->user)
		args_str(s, s->user);
	args_str(s, password);
	status = stream_send(s, STREAM_CONNECT_US, err);
	if (status == STREAM_OK)
		status = stream_receive_any(s, &reply, err);
	if (status != STREAM_OK)
		return status;
	if (reply->type == REDIS_REPLY_ERROR) {
		err_set(err,
			"Redis at %s: password refused (%.*s): correct redis.password_file or "
			"the URL",
			s->address, (int)strcspn(reply->str, " "), reply->str);
		stream_disconnect(s);
		status = STREAM_E_DOWN;
	}
	freeReplyObject(reply);
	return status;
}

/* AUTH if there is a password. */
static enum stream_status log_in(struct stream *s, struct err *err)
{
	bool from_file = s->options.password_file && s->options.password_file[0];
	char password[1024];
	enum stream_status status;

	if (!from_file)
		return s->password ? authenticate(s, s->password, err) : STREAM_OK;
	status = read_password(s, password, sizeof password, err);
	if (status == STREAM_OK)
		status = authenticate(s, password, err);
	explicit_bzero(password, sizeof password);
	return status;
}

enum stream_status stream_connect(struct stream *s, struct err *err)
{
	enum stream_status status;
	redisReply *reply;

	if (s->c)
		return STREAM_OK;
	status = open_socket(s, err);
	if (status == STREAM_OK)
		status = log_in(s, err);
	if (status != STREAM_OK)
		return status;
	/* Always, also for 0: the first command shows whether a password or a free place is
	 * missing. */
	args_begin(s, "SELECT");
	args_u64(s, (uint64_t)s->db);
	status = stream_send(s, STREAM_CONNECT_US, err);
	if (status == STREAM_OK)
		status = stream_receive(s, &reply, err);
	if (status == STREAM_OK)
		freeReplyObject(reply);
	return status;
}
