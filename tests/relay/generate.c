/* SPDX-License-Identifier: MIT */
#include "generate.h"
#include "network.h"
#include "serve.h"
#include "state.h"

#include <endian.h>
#include <errno.h>

enum { FILE_BUFFER = 1024 * 1024 };

struct generator {
	const struct options *options;
	struct network net;
	struct state state;
	struct frame_log log;
	struct buf frame;
	bool finished;
};

static int generator_init(struct generator *g, const struct options *options,
	const char *state_prefix, struct err *err)
{
	*g = (struct generator){.options = options};
	if (state_prefix && state_open(&g->state, state_prefix, err))
		return -1;
	return network_init(&g->net, options, state_prefix ? &g->state : NULL, err);
}

/* No more frames come: writes the expected state. May be called again. */
static int finish(struct generator *g, struct err *err)
{
	bool wrote = g->net.state != NULL;
	int r;

	if (g->finished)
		return 0;
	g->finished = true;
	network_done(&g->net);
	r = state_close(&g->state, err);
	if (!r && wrote) {
		printf("state written\n");
		fflush(stdout);
	}
	return r;
}

/* Frees what is left; keeps the first error. */
static int generator_done(struct generator *g, int r, struct err *err)
{
	struct err second;

	if (finish(g, r ? &second : err))
		r = -1;
	buf_done(&g->frame);
	return r;
}

/* The source's advance: generates into the log. */
static size_t advance(void *ctx, size_t n)
{
	struct generator *g = ctx;
	struct err err;
	size_t made = 0;

	while (made < n && !g->finished) {
		uint64_t seq;

		if (g->options->n_frames && g->net.n_frames == g->options->n_frames) {
			if (finish(g, &err))
				fprintf(stderr, "standpipe-relay: %s\n", err.text);
			break;
		}
		buf_reset(&g->frame);
		seq = network_next(&g->net, &g->frame);
		frame_log_add(&g->log, seq, buf_slice(&g->frame));
		made++;
	}
	return made;
}

int generate_serve(struct options *options, struct err *err)
{
	struct generator g;
	int r = generator_init(&g, options, options->state, err);

	if (options->pace == PACE_DEFAULT) {
		options->pace = PACE_RATE;
		options->rate = (double)options->eps;
	}
	if (!r) {
		frame_log_init(&g.log, options->seq0, options->n_history, options->history_bytes);
		r = serve_run(options, (struct source){&g.log, advance, &g}, err);
		frame_log_done(&g.log);
	}
	return generator_done(&g, r, err);
}

/* Writes one message behind its length. */
static void write_message(FILE *file, struct slice message)
{
	uint32_t n = htobe32((uint32_t)message.n);

	fwrite(&n, sizeof n, 1, file);
	fwrite(message.p, 1, message.n, file);
}

static int write_frames(struct generator *g, const char *path, struct err *err)
{
	FILE *file = fopen(path, "w");
	bool failed;

	if (!file)
		return err_set(err, "%s: %s", path, strerror(errno));
	setvbuf(file, NULL, _IOFBF, FILE_BUFFER);
	while (g->net.n_frames < g->options->n_frames && !ferror(file)) {
		buf_reset(&g->frame);
		network_next(&g->net, &g->frame);
		write_message(file, buf_slice(&g->frame));
	}
	failed = ferror(file) != 0;
	failed = fclose(file) != 0 || failed;
	return failed ? err_set(err, "%s: cannot write: %s", path, strerror(errno)) : 0;
}

int generate_file(const struct options *options, struct err *err)
{
	struct generator g;
	struct buf path = BUF_INIT;
	int r = generator_init(&g, options, options->out, err);

	buf_printf(&path, "%s.frames", options->out);
	if (!r)
		r = write_frames(&g, buf_str(&path), err);
	buf_done(&path);
	return generator_done(&g, r, err);
}
