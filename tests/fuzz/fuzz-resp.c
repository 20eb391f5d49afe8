/* SPDX-License-Identifier: MIT
 *
 * Redis's replies as we read them: the first byte chooses the call, the rest is what Redis says, in one
 * piece or byte by byte. Every call ends in one of its statuses, with a reason, and gives what it says it
 * gives; after DOWN there is no connection.
 */
#include "tests/fuzz/fuzz.h"

#include "io/stream_private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Everything has been said that will be. */
static enum wait_result no_more(void *ctx, int fd, short events, int64_t deadline_us)
{
	(void)ctx;
	(void)fd;
	(void)events;
	(void)deadline_us;
	return WAIT_TIMEOUT;
}

/* A connection that has received the input; what is sent goes nowhere. */
static struct stream *connected(struct slice said, bool by_byte)
{
	static const struct stream_options options = {.url = "redis://a", .name = "s", .group = "g",
		.waiter = {no_more, NULL}};
	struct stream *s;
	struct err err;

	MUST(stream_new(&options, &s, &err) == 0);
	s->c = calloc(1, sizeof *s->c);
	MUST(s->c);
	s->c->obuf = sdsempty();
	s->c->reader = redisReaderCreate();
	s->c->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	MUST(s->c->obuf && s->c->reader && s->c->fd > 0);
	for (int i = 0; i < N_STREAM_SCRIPTS; i++)
		memset(s->sha[i], 'a', 40);
	for (size_t i = 0; i < said.n; i += by_byte ? 1 : said.n)
		if (redisReaderFeed(s->c->reader, (const char *)said.p + i, by_byte ? 1 : said.n) != REDIS_OK)
			break;
	return s;
}

/* ---- the calls ---- */

static void check_entries(struct stream_entries *e)
{
	size_t n_bytes = 0;

	for (int i = 0; i < e->n; i++) {
		for (size_t k = 0; k < e->entries[i].bytes.n; k++)
			n_bytes += e->entries[i].bytes.p[k];
		MUST(!e->entries[i].deleted || e->entries[i].bytes.n == 0);
	}
	MUST(n_bytes < SIZE_MAX);
	stream_entries_free(e);
}

static enum stream_status read_own(struct stream *s, struct err *err)
{
	struct stream_entries e;
	enum stream_status status = stream_read_own(s, "c", (struct stream_id){1, 1}, 10, &e, err);

	check_entries(&e);
	return status;
}

static enum stream_status read_new(struct stream *s, struct err *err)
{
	struct stream_entries e;
	enum stream_status status = stream_read_send(s, "c", 10, 1, err);

	if (status != STREAM_OK)
		return status;
	status = stream_read_result(s, &e, err);
	check_entries(&e);
	return status;
}

static enum stream_status foreign(struct stream *s, struct err *err)
{
	struct stream_id head;
	struct stream_entries e;
	enum stream_status status = stream_foreign(s, 10, &head, &e, err);

	check_entries(&e);
	return status;
}

static enum stream_status walk(struct stream *s, struct err *err)
{
	struct stream_walk walk = {0};

	return stream_walk(s, &walk, err);
}

static enum stream_status claim_from(struct stream *s, struct err *err)
{
	struct stream_entries e;
	enum stream_status status = stream_claim_from(s, "a", "b", 0, 10, &e, err);

	check_entries(&e);
	return status;
}

static enum stream_status newest(struct stream *s, struct err *err)
{
	struct stream_entries e;
	enum stream_status status = stream_newest(s, 10, &e, err);

	check_entries(&e);
	return status;
}

static enum stream_status ack(struct stream *s, struct err *err)
{
	struct stream_id id = {1, 1};
	int n;

	return stream_ack(s, "c", 1, &id, 1, &n, err);
}

static enum stream_status renew(struct stream *s, struct err *err)
{
	struct stream_id id = {1, 1};

	return stream_renew(s, "c", &id, 1, err);
}

static enum stream_status append(struct stream *s, struct err *err)
{
	struct stream_pack pack = {.id = {1, 2}, .bytes = slice_str("p"), .n_events = 1};
	enum stream_status status = stream_append_send(s, (struct stream_id){1, 1}, 0, &pack, 1, err);

	return status == STREAM_OK ? stream_append_result(s, err) : status;
}

static enum stream_status consumers(struct stream *s, struct err *err)
{
	struct stream_consumer *list;
	int n;
	enum stream_status status = stream_consumers(s, &list, &n, err);

	for (int i = 0; i < n; i++)
		MUST(strlen(list[i].name) < sizeof list[i].name);
	free(list);
	return status;
}

static enum stream_status get_state(struct stream *s, struct err *err)
{
	struct stream_state state;
	enum stream_status status = stream_get_state(s, &state, err);

	MUST(strlen(state.host) < sizeof state.host && strlen(state.start) < sizeof state.start);
	return status;
}

static enum stream_status get_depth(struct stream *s, struct err *err)
{
	struct stream_depth depth;

	return stream_get_depth(s, &depth, err);
}

static enum stream_status length(struct stream *s, struct err *err)
{
	uint64_t n;

	return stream_length(s, &n, err);
}

static enum stream_status check_settings(struct stream *s, struct err *err)
{
	char run_id[41];
	enum stream_status status = stream_check_settings(s, run_id, err);

	MUST(strlen(run_id) <= 40);
	return status;
}

static enum stream_status prepare(struct stream *s, struct err *err)
{
	static const struct stream_base base = {.host = "h", .start = "live", .pg = "pg"};
	enum stream_prepared prepared = PREPARED_SAME;
	uint64_t top;

	return stream_prepare(s, &base, &prepared, &top, err);
}

static enum stream_status watermark(struct stream *s, struct err *err)
{
	struct stream_watermark w;
	uint64_t trimmed;
	enum stream_status status = stream_get_watermark(s, &w, err);

	return status == STREAM_OK ? stream_trim(s, &w, 1, 1, &trimmed, err) : status;
}

static enum stream_status drop_lost(struct stream *s, struct err *err)
{
	int n;

	return stream_drop_lost(s, (struct stream_id){1, 1}, &n, err);
}

static enum stream_status (*const calls[])(struct stream *, struct err *) = {read_own, read_new, foreign, walk,
	claim_from, newest, ack, renew, append, consumers, get_state, get_depth, length, check_settings, prepare,
	watermark, drop_lost};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum { N_CALLS = sizeof calls / sizeof *calls };
	enum stream_status status;
	struct err err = {""};
	struct stream *s;

	if (n == 0)
		return 0;
	s = connected(slice_of(data + 1, n - 1), data[0] & 0x80);
	status = calls[(data[0] & 0x7f) % N_CALLS](s, &err);
	MUST((unsigned)status < N_STREAM_STATUS);
	MUST(status == STREAM_OK || err.text[0]);
	MUST((status == STREAM_E_DOWN) == (stream_fd(s) < 0));
	stream_free(s);
	return 0;
}
