/* SPDX-License-Identifier: MIT
 *
 * steps - the work on an event without sockets and servers, step upon step, for a profiler
 *
 * "read" walks over the frames, "decode" also decodes and checks them, "pack" also packs them, "unpack" also
 * opens the packs and decodes their events as a worker does. Each step's cost is the difference to the one
 * before.
 */
#include "events.h"
#include "tool.h"

#include "workers/batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum step { STEP_READ, STEP_DECODE, STEP_PACK, STEP_UNPACK, N_STEPS };

enum { BATCH_EVENTS = 300 };

static const char *const names[N_STEPS] = { "read", "decode", "pack", "unpack" };

static uint64_t only_read(struct events *e)
{
	uint64_t n_bytes = 0;

	for (; e->next < e->file.n_frames; e->next++)
		n_bytes += e->file.log.frames[e->next].n_body;
	return n_bytes;
}

static void only_decode(struct events *e)
{
	struct event event;

	while (e->next < e->file.n_frames)
		e->n_events += events_decode(e, &event);
}

static void pack(struct events *e, bool unpack, uint64_t *ret_bytes)
{
	struct stats_slot *stats = calloc(1, sizeof *stats);
	struct batch batch = { 0 };
	struct stream_entries entries;

	if (!stats)
		abort();
	while (events_next(e, BATCH_EVENTS, &entries)) {
		struct stream_entries taken = entries;

		for (int i = 0; i < entries.n; i++)
			*ret_bytes += entries.entries[i].bytes.n;
		if (unpack)
			batch_add(&batch, &entries, stats);
		events_taken(e, &taken);
		batch_reset(&batch);
		stream_entries_free(&entries);
	}
	batch_done(&batch);
	free(stats);
}

int tool_steps(int argc, char **argv, struct err *err)
{
	struct events e;
	uint64_t n_bytes = 0;
	int step = 0;

	if (argc != 2)
		return err_set(err, "needs a step and a recording");
	while (step < N_STEPS && strcmp(argv[0], names[step]) != 0)
		step++;
	if (step == N_STEPS)
		return err_set(err, "no step %s", argv[0]);
	if (events_open(&e, argv[1], err))
		return -1;
	if (step == STEP_READ)
		n_bytes = only_read(&e);
	else if (step == STEP_DECODE)
		only_decode(&e);
	else
		pack(&e, step == STEP_UNPACK, &n_bytes);
	printf("events %" PRIu64 "\nbytes %" PRIu64 "\n", e.n_events, n_bytes);
	events_done(&e);
	return 0;
}
