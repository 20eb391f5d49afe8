/* SPDX-License-Identifier: MIT */
#include "events.h"

#include "base/clock.h"

int events_open(struct events *e, const char *path, struct err *err)
{
	struct stream_state state = { .epoch = 1 };

	*e = (struct events){ 0 };
	reader_pack_init(&e->pack);
	reader_pack_reset(&e->pack, &state);
	return frame_file_open(&e->file, path, err);
}

void events_done(struct events *e)
{
	reader_pack_done(&e->pack);
	arena_done(&e->arena);
	frame_file_done(&e->file);
}

bool events_decode(struct events *e, struct event *ret)
{
	const struct frame *f = &e->file.log.frames[e->next++];
	struct err ignored;

	arena_reset(&e->arena);
	return event_from_frame(slice_of(f->body, f->n_body), clock_wall_us(), &e->arena, ret, &ignored) == FRAME_OK;
}

bool events_next(struct events *e, int n_events, struct stream_entries *ret)
{
	uint64_t until = e->n_events + (uint64_t)n_events;
	struct event event;
	int i = 0;

	while (e->n_events < until && e->next < e->file.n_frames)
		if (events_decode(e, &event)) {
			reader_pack_event(&e->pack, &event);
			e->n_events++;
		}
	reader_pack_close_all(&e->pack);
	*ret = (struct stream_entries){ .n = e->pack.n_queued };
	ret->entries = arena_zalloc(&ret->arena, (size_t)ret->n, sizeof *ret->entries);
	for (const struct packed *p = e->pack.first; p; p = p->next)
		ret->entries[i++] = (struct stream_entry){ .id = p->id, .bytes = buf_slice(&p->bytes) };
	return ret->n > 0;
}

void events_taken(struct events *e, const struct stream_entries *entries)
{
	reader_pack_drop(&e->pack, entries->n);
}
