/* SPDX-License-Identifier: MIT
 *
 * A connection to the relay program cut at each byte of a frame, its head included: what came whole before is told, of
 * the rest nothing, and the connection is lost.
 * Usage: test-websocket_cuts PATH-OF-STANDPIPE-RELAY
 */
#include "io/websocket.h"
#include "tests/relay/frame_file.h"
#include "tests/unit/relay_process.h"
#include "tests/unit/tap.h"

#include <event2/event.h>

static char prefix[] = "/tmp/test-websocket-cuts-XXXXXX";

struct seen {
	struct event_base *base;
	const struct frame_file *file;
	uint64_t n_messages;
	bool right;
	int n_ends;
	struct websocket_ended ended;
};

static void on_open(void *ctx)
{
	(void)ctx;
}

static void on_message(void *ctx, struct slice message, bool binary)
{
	struct seen *s = ctx;
	const struct frame *f = &s->file->log.frames[s->n_messages++];

	s->right &= binary && slice_eq(message, slice_of(f->body, f->n_body));
}

static void on_close(void *ctx, const struct websocket_ended *ended)
{
	struct seen *s = ctx;

	s->n_ends++;
	s->ended = *ended;
	event_base_loopbreak(s->base);
}

/* One connection until it ends: exactly n_whole messages, and lost. */
static bool is_cut(struct event_base *base, const char *url, const struct frame_file *file, uint64_t n_whole)
{
	struct seen s = { .base = base, .file = file, .right = true };
	struct websocket_options o = { .url = url, .max_message_bytes = 5000000, .connect_timeout_us = 5000000,
		.idle_timeout_us = 20000000, .on_open = on_open, .on_message = on_message, .on_close = on_close, .ctx = &s };
	struct websocket *ws;
	struct err err;

	if (websocket_open(base, &o, &ws, &err) < 0)
		return false;
	event_base_dispatch(base);
	websocket_close(ws, 1000);
	return s.right && s.n_messages == n_whole && s.n_ends == 1 && s.ended.why == WEBSOCKET_CLOSE_LOST;
}

enum { LONG_HEAD = 126 };

/* Of the first frames the smallest whose length stands in more than one byte: an ordinary one has thousands of bytes. */
static uint64_t smallest(const struct frame_file *file)
{
	uint64_t at = 0;

	for (uint64_t i = 1; i < 60 && i < file->n_frames; i++)
		if (file->log.frames[i].n_body >= LONG_HEAD &&
			(at == 0 || file->log.frames[i].n_body < file->log.frames[at].n_body))
			at = i;
	return at;
}

static void check_cuts(const char *program, const struct frame_file *file, const char *frames)
{
	const uint64_t at = smallest(file);
	const struct frame *f = &file->log.frames[at];
	const size_t n_bytes = f->n_head + (size_t)f->n_body;
	struct event_base *base = event_base_new();
	char calm[24], url[96];
	struct relay relay;
	size_t n = 0;

	snprintf(calm, sizeof calm, "%llu", (unsigned long long)at);
	relay = relay_serve(program, (const char *const[]){ "serve", frames, "--cut-within", calm, NULL });
	snprintf(url, sizeof url, "ws://127.0.0.1:%d/xrpc/com.atproto.sync.subscribeRepos?cursor=0", relay.port);
	while (n < n_bytes && is_cut(base, url, file, at))
		n++;
	ok(n == n_bytes, "cut before each of the %zu bytes of message %llu: the %llu before it are told, and the loss",
		n_bytes, (unsigned long long)at, (unsigned long long)at);
	relay_stop(&relay);
	event_base_free(base);
}

int main(int argc, char **argv)
{
	struct frame_file file = { 0 };
	struct relay maker;
	struct err err = { "" };
	char frames[64];
	int fd = mkstemp(prefix);

	if (argc != 2 || fd < 0)
		return 2;
	close(fd);
	snprintf(frames, sizeof frames, "%s.frames", prefix);
	maker = relay_start(argv[1], (const char *const[]){ "generate", "--unsigned", "--odd=20", "--accounts", "20",
		"--frames", "100", "--start", "2026-01-01T00:00:00Z", "--out", prefix, NULL });
	if (relay_wait(&maker) == 0 && frame_file_open(&file, frames, &err) == 0)
		check_cuts(argv[1], &file, frames);
	else
		ok(false, "the relay makes a recording %s", err.text);
	frame_file_done(&file);
	for (const char *const *end = (const char *const[]){ "", ".frames", ".records.jsonl", ".accounts.jsonl",
		".diddocs.json", NULL }; *end; end++) {
		snprintf(frames, sizeof frames, "%s%s", prefix, *end);
		unlink(frames);
	}
	return done();
}
