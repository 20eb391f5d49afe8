/* SPDX-License-Identifier: MIT */
#include "io/conf_private.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define AT(section_, name_)                                                                        \
	.section = #section_, .name = #name_, .offset = offsetof(struct conf, section_.name_)

/* THE table of keys. etc/standpipe.conf is this table printed; a test compares them. */
const struct conf_key conf_keys[] = {
	{ AT(source, type), .type = CONF_STRING, .owner = OWNER_READER, .text = "relay",
		.words = { "relay" }, .meaning = "what kind of source the events come from" },
	{ AT(source, urls), .type = CONF_STRINGS, .owner = OWNER_READER,
		.n_offset = offsetof(struct conf, source.n_urls), .max_items = CONF_MAX_URLS,
		.text = "wss://bsky.network", .valid = conf_is_websocket_url,
		.accepted = "1..8 URLs ws://host[:port][/path] or wss://...",
		.meaning = "relays, in order of preference" },
	{ AT(source, start), .type = CONF_STRING, .owner = OWNER_READER, .text = "live",
		.valid = conf_is_start, .accepted = "\"live\", \"oldest\" or a sequence number in quotes",
		.meaning = "where to begin when there is no position yet" },
	{ AT(source, collections), .type = CONF_STRINGS, .owner = OWNER_READER,
		.n_offset = offsetof(struct conf, source.n_collections),
		.max_items = CONF_MAX_COLLECTIONS, .text = "*", .valid = conf_is_collection,
		.accepted = "1..64 of \"*\", \"app.bsky.feed.*\" or an NSID",
		.meaning = "which collections are kept" },
	{ AT(source, verify), .type = CONF_STRING, .owner = OWNER_ALL, .text = "blocks",
		.words = { "blocks", "full" },
		.meaning = "blocks: compare every record's bytes with its CID; full: signatures and repository proofs too" },
	{ AT(source, ca_file), .type = CONF_STRING, .owner = OWNER_READER, .text = "",
		.valid = conf_is_path, .accepted = "\"\" (the system's) or an absolute path",
		.meaning = "certificate authorities for wss" },
	{ AT(source, idle_timeout), .type = CONF_FLOAT, .owner = OWNER_READER, .f = { 60, 1, 3600 },
		.meaning = "seconds without a frame or pong before the connection counts as dead" },

	{ AT(redis, url), .type = CONF_STRING, .owner = OWNER_ALL, .text = "redis://127.0.0.1:6379/0",
		.valid = conf_is_redis_url, .mask = conf_mask_redis_url,
		.accepted = "redis://[:password@]host[:port][/db] or unix:///path[?db=N]",
		.meaning = "the Redis that holds the stream" },
	{ AT(redis, password_file), .type = CONF_STRING, .owner = OWNER_ALL, .text = "",
		.valid = conf_is_path, .accepted = "\"\" or an absolute path",
		.meaning = "file that holds the password of Redis, instead of the URL" },
	{ AT(redis, stream), .type = CONF_STRING, .owner = OWNER_FIXED, .text = "firehose:events",
		.valid = conf_is_redis_key, .accepted = "1..128 bytes without spaces",
		.meaning = "key of the stream" },
	{ AT(redis, group), .type = CONF_STRING, .owner = OWNER_FIXED, .text = "firehose-processors",
		.valid = conf_is_redis_key, .accepted = "1..128 bytes without spaces",
		.meaning = "consumer group of the workers" },
	{ AT(redis, max_events), .type = CONF_INT, .owner = OWNER_READER,
		.i = { 500000, 100, 1000000000 },
		.meaning = "events not yet in PostgreSQL above which the reader stops reading its socket" },
	{ AT(redis, max_bytes), .type = CONF_INT, .owner = OWNER_READER,
		.i = { 1000000000, 100000, INT64_C(1000000000000) },
		.meaning = "the same in bytes" },
	{ AT(redis, replay_events), .type = CONF_INT, .owner = OWNER_KEEPER,
		.i = { 200000, 0, 1000000000 },
		.meaning = "finished events kept in the stream, for replays" },
	{ AT(redis, replay_bytes), .type = CONF_INT, .owner = OWNER_KEEPER,
		.i = { 128000000, 0, INT64_C(1000000000000) },
		.meaning = "the same in bytes; the smaller of the two counts" },

	{ AT(postgres, conninfo), .type = CONF_STRING, .owner = OWNER_ALL, .text = "dbname=bsky",
		.mask = conf_mask_conninfo, .accepted = "a libpq connection string or postgresql:// URI",
		.meaning = "the PostgreSQL database" },

	{ AT(workers, count), .type = CONF_INT, .owner = OWNER_SUPERVISOR, .i = { 2, 1, 64 },
		.meaning = "worker processes" },
	{ AT(workers, batch_events), .type = CONF_INT, .owner = OWNER_WORKER, .i = { 300, 1, 65536 },
		.meaning = "events in one transaction under light load" },
	{ AT(workers, batch_events_max), .type = CONF_INT, .owner = OWNER_WORKER,
		.i = { 4096, 1, 65536 }, .meaning = "events in one transaction under backlog" },
	{ AT(workers, claim_interval), .type = CONF_FLOAT, .owner = OWNER_WORKER, .f = { 5, 0.1, 3600 },
		.meaning = "seconds between two looks for entries that a lost consumer left pending" },

	{ AT(pending, retry), .type = CONF_FLOAT, .owner = OWNER_KEEPER, .f = { 5, 0.1, 86400 },
		.meaning = "seconds until a missing parent is looked for again; doubles each time" },
	{ AT(pending, retry_max), .type = CONF_FLOAT, .owner = OWNER_KEEPER, .f = { 3600, 0.1, 604800 },
		.meaning = "seconds beyond which that interval does not grow" },
	{ AT(pending, expire), .type = CONF_FLOAT, .owner = OWNER_KEEPER, .f = { 86400, 1, 31536000 },
		.meaning = "seconds after which a missing parent is given up (it may still arrive)" },
	{ AT(pending, then), .type = CONF_STRING, .owner = OWNER_KEEPER, .text = "keep",
		.words = { "keep", "dead_letter" }, .meaning = "what becomes of a parent given up" },
	{ AT(pending, max_rows), .type = CONF_INT, .owner = OWNER_KEEPER,
		.i = { 50000000, 1, INT64_C(10000000000) },
		.meaning = "missing parents above which the oldest are given up early" },

	{ AT(queue, warn_events), .type = CONF_INT, .owner = OWNER_SUPERVISOR,
		.i = { 100000, 1, 1000000000 },
		.meaning = "depth of the stream that is worth a warning" },
	{ AT(queue, critical_events), .type = CONF_INT, .owner = OWNER_SUPERVISOR,
		.i = { 250000, 1, 1000000000 }, .meaning = "depth of the stream that counts as degraded" },
	{ AT(queue, warn_risk), .type = CONF_FLOAT, .owner = OWNER_SUPERVISOR, .f = { 300, 1, 604800 },
		.meaning = "seconds of events that only Redis has that are worth a warning" },
	{ AT(queue, warn_overflow), .type = CONF_FLOAT, .owner = OWNER_SUPERVISOR, .f = { 600, 0, 604800 },
		.meaning = "a warning if the stream would be full within so many seconds, growing as it does" },
	{ AT(queue, check_interval), .type = CONF_FLOAT, .owner = OWNER_SUPERVISOR, .f = { 10, 0.1, 3600 },
		.meaning = "seconds between two looks at depth, risk, forecast and the memory of Redis" },

	{ AT(identity, plc_url), .type = CONF_STRING, .owner = OWNER_RESOLVER,
		.text = "https://plc.directory", .valid = conf_is_http_url,
		.accepted = "http://host[:port][/path] or https://...",
		.meaning = "directory of did:plc, for verify = \"full\"; http only with allow_loopback" },
	{ AT(identity, refresh), .type = CONF_FLOAT, .owner = OWNER_RESOLVER, .f = { 30, 0.1, 86400 },
		.meaning = "seconds in which the document of one account is asked for at most once" },
	{ AT(identity, allow_loopback), .type = CONF_BOOL, .owner = OWNER_RESOLVER,
		.meaning = "ask hosts on loopback and private addresses too: for tests" },

	{ AT(http, listen), .type = CONF_STRING, .owner = OWNER_MONITOR, .text = "127.0.0.1:9464",
		.valid = conf_is_listen, .accepted = "\"\" (off) or host:port",
		.meaning = "address of metrics, health and status page" },

	{ AT(runtime, dir), .type = CONF_STRING, .owner = OWNER_FIXED, .text = "", .valid = conf_is_dir,
		.accepted = "an absolute path of at most 68 bytes, or \"\" ($RUNTIME_DIRECTORY, "
			    "$XDG_RUNTIME_DIR/standpipe or /tmp/standpipe-<uid>)",
		.meaning = "directory of lock and status socket" },
	{ AT(runtime, name), .type = CONF_STRING, .owner = OWNER_FIXED, .text = "standpipe",
		.valid = conf_is_name, .accepted = "1..32 of a-z 0-9 _ -",
		.meaning = "name of this instance: consumers are called <name>-w<slot>" },
	{ AT(runtime, drain_timeout), .type = CONF_FLOAT, .owner = OWNER_SUPERVISOR, .f = { 25, 0.1, 3600 },
		.meaning = "seconds that children have to finish before they are killed" },

	{ AT(log, level), .type = CONF_STRING, .owner = OWNER_SUPERVISOR, .text = "info",
		.words = { "error", "warning", "notice", "info", "debug" },
		.meaning = "least important messages that are written" },
};
const int n_conf_keys = sizeof conf_keys / sizeof conf_keys[0];
_Static_assert(sizeof conf_keys / sizeof conf_keys[0] <= CONF_MAX_KEYS, "CONF_MAX_KEYS is too small");

const struct conf_key *conf_key_find(const char *section, const char *name)
{
	for (int i = 0; i < n_conf_keys; i++)
		if (strcmp(conf_keys[i].section, section) == 0 &&
			(!name || strcmp(conf_keys[i].name, name) == 0))
			return &conf_keys[i];
	return NULL;
}

void *conf_key_at(const struct conf_key *key, const struct conf *conf)
{
	return (char *)(uintptr_t)conf + key->offset;
}

int *conf_key_n(const struct conf_key *key, const struct conf *conf)
{
	return (int *)(void *)((char *)(uintptr_t)conf + key->n_offset);
}

/* The shortest decimal form that reads back as the same number, always with a point or exponent. */
static void print_float(double v, struct buf *out)
{
	char text[40];

	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	if (fabs(v) < 1e15 && strchr(text, 'e'))
		snprintf(text, sizeof text, "%.1f", v);
	buf_printf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_int(int64_t v, struct buf *out)
{
	buf_printf(out, "%lld%s", (long long)v, v > INT32_MAX || v < INT32_MIN ? "L" : "");
}

void conf_key_accepted(const struct conf_key *key, struct buf *out)
{
	if (key->type == CONF_BOOL) {
		buf_add_str(out, "true or false");
	} else if (key->type == CONF_INT) {
		print_int(key->i.min, out);
		buf_add_str(out, "..");
		print_int(key->i.max, out);
	} else if (key->type == CONF_FLOAT) {
		print_float(key->f.min, out);
		buf_add_str(out, "..");
		print_float(key->f.max, out);
	} else if (key->words[0]) {
		for (int i = 0; i < CONF_MAX_WORDS && key->words[i]; i++)
			buf_printf(out, "%s\"%s\"", i ? " or " : "", key->words[i]);
	} else {
		buf_add_str(out, key->accepted);
	}
}

bool conf_key_printable(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return true;
}

bool conf_key_valid(const struct conf_key *key, const char *text)
{
	if (!conf_key_printable(text))
		return false;
	if (!key->words[0])
		return !key->valid || key->valid(text);
	for (int i = 0; i < CONF_MAX_WORDS && key->words[i]; i++)
		if (strcmp(key->words[i], text) == 0)
			return true;
	return false;
}

static void print_string(const struct conf_key *key, const char *text, bool secrets, struct buf *out)
{
	struct buf masked = BUF_INIT;

	if (key->mask && !secrets) {
		key->mask(text, &masked);
		text = buf_str(&masked);
	}
	buf_u8(out, '"');
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_u8(out, '\\');
		buf_u8(out, (uint8_t)*p);
	}
	buf_u8(out, '"');
	buf_done(&masked);
}

void conf_key_print(const struct conf_key *key, const struct conf *conf, bool secrets, struct buf *out)
{
	void *at = conf_key_at(key, conf);
	char **strings = at;

	switch (key->type) {
	case CONF_STRING:
		print_string(key, strings[0], secrets, out);
		break;
	case CONF_STRINGS:
		buf_add_str(out, "[");
		for (int i = 0; i < *conf_key_n(key, conf); i++) {
			buf_add_str(out, i ? ", " : "");
			print_string(key, strings[i], secrets, out);
		}
		buf_add_str(out, "]");
		break;
	case CONF_INT:
		print_int(*(int64_t *)at, out);
		break;
	case CONF_FLOAT:
		print_float(*(double *)at, out);
		break;
	default:
		buf_add_str(out, *(bool *)at ? "true" : "false");
	}
}

void conf_key_default(const struct conf_key *key, struct conf *conf)
{
	void *at = conf_key_at(key, conf);

	if (key->type == CONF_INT)
		*(int64_t *)at = key->i.value;
	else if (key->type == CONF_FLOAT)
		*(double *)at = key->f.value;
	else if (key->type == CONF_BOOL)
		*(bool *)at = key->i.value != 0;
	else if (!(*(char **)at = strdup(key->text)))
		abort();
	if (key->type == CONF_STRINGS)
		*conf_key_n(key, conf) = 1;
}

void conf_key_done(const struct conf_key *key, struct conf *conf)
{
	char **strings = conf_key_at(key, conf);
	int n = key->type == CONF_STRINGS ? *conf_key_n(key, conf) : key->type == CONF_STRING;

	for (int i = 0; i < n; i++) {
		free(strings[i]);
		strings[i] = NULL;
	}
	if (key->type == CONF_STRINGS)
		*conf_key_n(key, conf) = 0;
}
