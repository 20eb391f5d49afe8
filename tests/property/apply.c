/* SPDX-License-Identifier: MIT
 *
 * apply - recorded frames straight through decode, merge and write, in any order, without Redis
 *
 * The production code of a worker (merge, write) driven by a seed: shuffled, repeated and split into
 * batches at random. Used by the property tests; the database comes from PG* or --conninfo.
 */
#include "base/clock.h"
#include "base/log.h"
#include "workers/write.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct options {
	const char *conninfo;
	uint64_t seed, epoch;
	int max_batch, duplicate_percent;
	bool shuffle;
};

struct frames {
	struct batch_event *events;
	int n, cap;
	struct arena arena;
};

/* xorshift64*: the same order for the same seed everywhere. */
static uint64_t next_random(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1du;
}

static void add(struct frames *f, const struct batch_event *be)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 1024;
		f->events = realloc(f->events, (size_t)f->cap * sizeof *f->events);
		if (!f->events)
			abort();
	}
	f->events[f->n++] = *be;
}

/* Decodes a .frames file (4-byte big-endian length before each message). */
static void load(struct frames *f, const char *path, uint64_t epoch)
{
	FILE *in = fopen(path, "rb");
	uint8_t head[4];

	if (!in) {
		perror(path);
		exit(1);
	}
	while (fread(head, 1, 4, in) == 4) {
		size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		struct batch_event be = { .epoch = epoch };
		uint8_t *p = arena_alloc(&f->arena, n);
		enum frame_status status;
		struct err err;

		if (fread(p, 1, n, in) != n)
			break;
		status = event_from_frame(slice_of(p, n), clock_wall_us(), &f->arena, &be.e, &err);
		be.payload = slice_of(p, n);
		if (status == FRAME_OK)
			add(f, &be);
		else if (status == FRAME_BAD)
			fprintf(stderr, "bad frame: %s\n", err.text);
	}
	fclose(in);
}

static void disturb(struct frames *f, const struct options *o, uint64_t *rnd)
{
	int n = f->n;

	for (int i = 0; i < n; i++)
		if ((int)(next_random(rnd) % 100) < o->duplicate_percent) {
			struct batch_event copy = f->events[i];

			add(f, &copy);
		}
	for (int i = f->n - 1; o->shuffle && i > 0; i--) {
		int j = (int)(next_random(rnd) % (uint64_t)(i + 1));
		struct batch_event t = f->events[i];

		f->events[i] = f->events[j];
		f->events[j] = t;
	}
}

static int write_all(struct frames *f, const struct options *o, uint64_t *rnd)
{
	static struct stats_slot stats;
	struct writer w;
	struct err err;

	if (writer_init(&w, o->conninfo, "apply", (struct waiter){ wait_poll, NULL }, &stats, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 0; i < f->n;) {
		int n = o->shuffle ? 1 + (int)(next_random(rnd) % (uint64_t)o->max_batch) : o->max_batch;
		struct batch b = { .events = f->events + i, .n_events = n < f->n - i ? n : f->n - i };
		enum write_status status = writer_write(&w, &b, &err);

		if (status != WRITE_OK && status != WRITE_E_RETRY) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		if (status == WRITE_OK)
			i += b.n_events;
		else
			fprintf(stderr, "again: %s\n", err.text);
	}
	writer_done(&w);
	return 0;
}

static const struct option long_options[] = {
	{ "conninfo", required_argument, NULL, 'c' },
	{ "seed", required_argument, NULL, 's' },
	{ "epoch", required_argument, NULL, 'e' },
	{ "batch", required_argument, NULL, 'b' },
	{ "duplicate", required_argument, NULL, 'd' },
	{ 0 },
};

int main(int argc, char **argv)
{
	struct options o = { .conninfo = "", .epoch = 1, .max_batch = 500 };
	struct frames f = { 0 };
	uint64_t rnd;
	int c, r;

	log_init("apply", LOG_WARNING);
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		switch (c) {
		case 'c':
			o.conninfo = optarg;
			break;
		case 's':
			o.seed = strtoull(optarg, NULL, 10);
			o.shuffle = true;
			break;
		case 'e':
			o.epoch = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			o.max_batch = atoi(optarg);
			break;
		case 'd':
			o.duplicate_percent = atoi(optarg);
			break;
		default:
			return 64;
		}
	rnd = o.seed * 0x9e3779b97f4a7c15u + 1;
	for (int i = optind; i < argc; i++)
		load(&f, argv[i], o.epoch);
	disturb(&f, &o, &rnd);
	r = write_all(&f, &o, &rnd);
	free(f.events);
	arena_done(&f.arena);
	return r;
}
