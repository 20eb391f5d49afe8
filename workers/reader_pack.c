/* SPDX-License-Identifier: MIT */
#include "workers/reader_pack.h"

#include "base/clock.h"
#include "codec/pack.h"

#include <assert.h>
#include <stdlib.h>

enum {
	MAX_RIDER_BYTES = 8 << 20,
	KEEP_BYTES = 64 << 10, /* a larger buffer is given back instead of kept as spare */
	FILTERED_BYTES = PACK_EVENT_HEAD + 2 + N_KNOWN_COLLECTIONS * 7, /* at most, what note_filtered leads to */
};

void reader_pack_init(struct reader_pack *p)
{
	*p = (struct reader_pack){ 0 };
	p->end = &p->first;
	pack_begin(&p->riders);
}

/* Frees packs and their bytes. */
static void free_list(struct packed *list)
{
	while (list) {
		struct packed *next = list->next;

		buf_done(&list->bytes);
		free(list);
		list = next;
	}
}

void reader_pack_done(struct reader_pack *p)
{
	free_list(p->open);
	free_list(p->first);
	free_list(p->spare);
	buf_done(&p->payload);
	buf_done(&p->riders);
}

/* Keeps a pack's memory for the next. */
static void retire(struct reader_pack *p, struct packed *pack)
{
	struct buf bytes = pack->bytes;

	if (bytes.cap > KEEP_BYTES)
		buf_done(&bytes);
	*pack = (struct packed){ .next = p->spare, .bytes = bytes };
	p->spare = pack;
}

void reader_pack_reset(struct reader_pack *p, const struct stream_state *state)
{
	if (p->open)
		retire(p, p->open);
	p->open = NULL;
	reader_pack_drop(p, p->n_queued);
	pack_begin(&p->riders);
	p->n_riders = p->n_rider_gaps = 0;
	p->skip_seq = 0;
	memset(p->filtered, 0, sizeof p->filtered);
	p->any_filtered = false;
	p->tail = state->head;
	p->epoch = state->epoch;
	p->next_ordinal = state->next_ordinal;
	p->next_byte = state->next_byte;
}

/* Begins a pack, in the memory of an old one if there is one. */
static void open_pack(struct reader_pack *p)
{
	struct packed *pack = p->spare;

	if (pack)
		p->spare = pack->next;
	else
		pack = calloc(1, sizeof *pack);
	if (!pack)
		abort();
	pack->next = NULL;
	pack->received_us = (uint64_t)clock_wall_us();
	pack_begin(&pack->bytes);
	p->open = pack;
}

/* Adds one event, with the riders before it, to the open pack. */
static void add(
	struct reader_pack *p, uint8_t kind, uint8_t flags, uint64_t seq, struct slice payload)
{
	struct packed *pack = p->open;

	assert(seq > (p->tail.epoch == p->epoch ? p->tail.seq : 0) && seq > pack->id.seq);
	if (p->n_riders > 0) {
		buf_add(&pack->bytes, p->riders.p + PACK_PREFIX, p->riders.n - PACK_PREFIX);
		pack->n_events += p->n_riders;
		pack->n_gaps += p->n_rider_gaps;
		p->n_riders = p->n_rider_gaps = 0;
		if (p->riders.cap > KEEP_BYTES)
			buf_done(&p->riders);
		pack_begin(&p->riders);
	}
	pack_add(&pack->bytes, kind, flags, seq, payload);
	pack->n_events++;
	if (pack->id.seq == 0)
		pack->first_seq = seq;
	pack->id = (struct stream_id){ p->epoch, seq };
}

/* The pack that moves the head over this frame will say what was left out of it. */
static void note_filtered(struct reader_pack *p, const struct event *e)
{
	for (uint32_t i = 0; i < e->n_filtered; i++)
		p->filtered[event_known_collection(e->ops[e->n_ops + i].collection)]++;
	p->any_filtered |= e->n_filtered > 0;
}

void reader_pack_event(struct reader_pack *p, const struct event *e)
{
	size_t need;

	buf_reset(&p->payload);
	event_encode(e, &p->payload);
	need = PACK_EVENT_HEAD + p->payload.n + (p->riders.n - PACK_PREFIX);
	if (p->any_filtered || e->n_filtered)
		need += FILTERED_BYTES;
	if (p->open && p->open->bytes.n + need > PACK_CLOSE_BYTES)
		reader_pack_close(p);
	if (!p->open) {
		open_pack(p);
		p->open->first_time_us = e->time_us;
	}
	add(p, (uint8_t)e->kind, e->flags, e->seq, buf_slice(&p->payload));
	note_filtered(p, e);
	if (e->time_us)
		p->open->time_us = e->time_us;
	if (p->skip_seq < e->seq)
		p->skip_seq = 0;
	if (p->open->bytes.n >= PACK_CLOSE_BYTES)
		reader_pack_close(p);
	if (p->payload.cap > KEEP_BYTES)
		buf_done(&p->payload);
}

void reader_pack_rider(struct reader_pack *p, const struct event *e)
{
	struct event rider = *e;

	if (p->riders.n + e->bytes.n > MAX_RIDER_BYTES)
		rider.bytes = slice_of(NULL, 0);
	buf_reset(&p->payload);
	event_encode(&rider, &p->payload);
	pack_add(&p->riders, (uint8_t)e->kind, e->flags, e->seq, buf_slice(&p->payload));
	p->n_riders++;
	p->n_rider_gaps += e->kind == EVENT_GAP;
}

void reader_pack_skip(struct reader_pack *p, const struct event *e)
{
	if (p->skip_seq == 0)
		p->skip_us = clock_mono_us();
	p->skip_seq = e->seq;
	note_filtered(p, e);
}

/* The end of the open pack: moves the head over skipped frames, and says what was left out. */
static void add_skip(struct reader_pack *p)
{
	struct filtered list[N_KNOWN_COLLECTIONS];
	struct event e = { .kind = EVENT_SKIP, .filtered = list };
	struct buf payload = BUF_INIT; /* p->payload may be waiting for the next pack */

	for (uint32_t i = 0; i < N_KNOWN_COLLECTIONS; i++)
		if (p->filtered[i])
			list[e.n_filtered_collections++] = (struct filtered){
				i ? slice_str(event_known_collections[i]) : slice_of(NULL, 0), p->filtered[i] };
	if (p->any_filtered)
		event_encode(&e, &payload);
	if (p->skip_seq > 0) {
		add(p, EVENT_SKIP, 0, p->skip_seq, buf_slice(&payload));
	} else { /* the head is there already */
		pack_add(&p->open->bytes, EVENT_SKIP, 0, p->open->id.seq, buf_slice(&payload));
		p->open->n_events++;
	}
	buf_done(&payload);
	p->skip_seq = 0;
	memset(p->filtered, 0, sizeof p->filtered);
	p->any_filtered = false;
}

void reader_pack_close(struct reader_pack *p)
{
	struct packed *pack = p->open;
	struct pack_prefix prefix;

	if (!pack)
		return;
	if (p->skip_seq > 0 || p->any_filtered)
		add_skip(p);
	pack->first_ordinal = p->next_ordinal;
	prefix = (struct pack_prefix){ .prev_epoch = p->tail.epoch,
		.prev_seq = p->tail.seq,
		.epoch = p->epoch,
		.first_seq = pack->first_seq,
		.last_seq = pack->id.seq,
		.first_ordinal = p->next_ordinal,
		.first_byte = p->next_byte,
		.received_us = pack->received_us,
		.source_time_us = (uint64_t)pack->time_us,
		.n_events = pack->n_events };
	pack_end(&pack->bytes, &prefix);
	p->next_ordinal += pack->n_events;
	p->next_byte += pack->bytes.n;
	p->tail = pack->id;
	p->queued_bytes += pack->bytes.n;
	p->n_queued++;
	*p->end = pack;
	p->end = &pack->next;
	p->open = NULL;
}

void reader_pack_close_all(struct reader_pack *p)
{
	if (!p->open && p->skip_seq > 0)
		open_pack(p);
	reader_pack_close(p);
}

void reader_pack_drop(struct reader_pack *p, int n)
{
	assert(n <= p->n_queued);
	while (n-- > 0) {
		struct packed *pack = p->first;

		p->first = pack->next;
		p->n_queued--;
		p->queued_bytes -= pack->bytes.n;
		retire(p, pack);
	}
	if (!p->first)
		p->end = &p->first;
}
