/* SPDX-License-Identifier: MIT */
#include "frame_log.h"
#include "ws.h"

#include <assert.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 256 * 1024 };

struct chunk {
	size_t n_refs, n, cap;
	uint8_t bytes[];
};

void chunk_ref(struct chunk *chunk)
{
	if (chunk)
		chunk->n_refs++;
}

void chunk_unref(struct chunk *chunk)
{
	if (chunk && --chunk->n_refs == 0)
		free(chunk);
}

/* A chunk with one reference and room for at least n bytes. */
static struct chunk *chunk_new(size_t n)
{
	size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	struct chunk *chunk = malloc(sizeof *chunk + cap);

	if (!chunk)
		abort();
	*chunk = (struct chunk){.n_refs = 1, .cap = cap};
	return chunk;
}

void frame_log_init(struct frame_log *log, uint64_t seq_before, size_t max_frames, size_t max_bytes)
{
	assert(max_frames > 0);
	*log = (struct frame_log){
		.seq_before = seq_before, .cap = max_frames, .max_bytes = max_bytes};
	log->frames = calloc(max_frames, sizeof *log->frames);
	if (!log->frames)
		abort();
}

/* Lets the oldest frame go. */
static void drop_first(struct frame_log *log)
{
	struct frame *f = &log->frames[log->first % log->cap];

	log->n_bytes -= f->n_head + f->n_body;
	chunk_unref(f->chunk);
	*f = (struct frame){0};
	log->first++;
}

void frame_log_done(struct frame_log *log)
{
	while (log->first < log->end)
		drop_first(log);
	chunk_unref(log->filling);
	free(log->frames);
	*log = (struct frame_log){0};
}

/* Makes log->filling a chunk with room for n bytes. */
static struct chunk *chunk_for(struct frame_log *log, size_t n)
{
	if (log->filling && log->filling->cap - log->filling->n >= n)
		return log->filling;
	chunk_unref(log->filling);
	log->filling = chunk_new(n);
	return log->filling;
}

void frame_log_add(struct frame_log *log, uint64_t seq, struct slice body)
{
	uint8_t head[WS_HEAD_MAX];
	size_t n_head = ws_head(WS_FIN | WS_BINARY, body.n, head);
	struct chunk *chunk = chunk_for(log, n_head + body.n);
	uint8_t *p = chunk->bytes + chunk->n;

	assert(body.n <= UINT32_MAX && seq >= frame_log_newest_seq(log));
	while (log->end - log->first >= log->cap ||
		(log->end > log->first && log->n_bytes + n_head + body.n > log->max_bytes))
		drop_first(log);
	memcpy(p, head, n_head);
	if (body.n)
		memcpy(p + n_head, body.p, body.n);
	chunk->n += n_head + body.n;
	chunk_ref(chunk);
	log->n_bytes += n_head + body.n;
	log->frames[log->end++ % log->cap] = (struct frame){.seq = seq,
		.head = p,
		.body = p + n_head,
		.chunk = chunk,
		.n_body = (uint32_t)body.n,
		.n_head = (uint8_t)n_head};
}

const struct frame *frame_log_at(const struct frame_log *log, uint64_t index)
{
	assert(index >= log->first && index < log->end);
	return &log->frames[index % log->cap];
}

uint64_t frame_log_after(const struct frame_log *log, uint64_t seq)
{
	uint64_t lo = log->first, hi = log->end;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (frame_log_at(log, mid)->seq > seq)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

uint64_t frame_log_oldest_seq(const struct frame_log *log)
{
	return log->first < log->end ? frame_log_at(log, log->first)->seq : log->seq_before + 1;
}

uint64_t frame_log_newest_seq(const struct frame_log *log)
{
	return log->first < log->end ? frame_log_at(log, log->end - 1)->seq : log->seq_before;
}
