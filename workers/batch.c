/* SPDX-License-Identifier: MIT */
#include "workers/batch.h"

#include "base/failpoint.h"

#include "base/clock.h"
#include "codec/pack.h"

#include <assert.h>
#include <stdlib.h>

/* Doubles *p when n elements fill it. */
static void *grow(void *p, int n, int *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap ? *cap * 2 : 512;
	p = realloc(p, (size_t)*cap * size);
	if (!p)
		abort();
	return p;
}

struct batch_event *batch_new_event(struct batch *b)
{
	b->events = grow(b->events, b->n_events, &b->events_cap, sizeof *b->events);
	return &b->events[b->n_events++];
}

static void new_ledger(struct batch *b, struct stream_id id)
{
	struct ledger_pack *p;

	b->ledger = grow(b->ledger, b->n_ledger, &b->ledger_cap, sizeof *b->ledger);
	p = &b->ledger[b->n_ledger++];
	*p = (struct ledger_pack){ .id = id, .n_events = 1 };
}

/* Returns the place for what its prefix says. */
static struct batch_pack *add_id(struct batch *b, struct stream_id id)
{
	b->ids = grow(b->ids, b->n_ids, &b->ids_cap, sizeof *b->ids);
	b->packs = grow(b->packs, b->n_ids, &b->packs_cap, sizeof *b->packs);
	b->ids[b->n_ids] = id;
	b->packs[b->n_ids] = (struct batch_pack){ 0 };
	return &b->packs[b->n_ids++];
}

/* One event that stands for bytes nobody can decode. */
static void add_bad(struct batch *b, uint64_t epoch, uint64_t seq, struct slice bytes, const char *reason)
{
	struct batch_event *be = batch_new_event(b);

	*be = (struct batch_event){ .epoch = epoch, .bytes = bytes };
	be->e = (struct event){ .kind = EVENT_BAD, .seq = seq, .bytes = bytes,
		.reason = arena_copy(&b->arena, slice_str(reason)) };
}

/* What `bytes` holds of kind, flags and seq is the head of an event in a pack. */
static struct batch_event head_of(uint64_t epoch, const struct pack_event *pe)
{
	struct batch_event be = { .epoch = epoch };

	be.e.seq = pe->seq;
	be.bytes = slice_of(pe->payload.p - PACK_EVENT_HEAD, pe->payload.n + PACK_EVENT_HEAD);
	return be;
}

int batch_decode(struct batch_event *be, struct arena *arena, struct err *err)
{
	struct slice payload = slice_of(be->bytes.p + PACK_EVENT_HEAD, be->bytes.n - PACK_EVENT_HEAD);
	struct event e;
	int r = event_decode(be->bytes.p[0], be->bytes.p[1], be->e.seq, payload, arena, &e, err);

	if (r == 0)
		be->e = e;
	return r > 0 ? err_set(err, "unknown kind of event") : r;
}

static void add_event(struct batch *b, const struct batch_event *head, struct slice payload)
{
	struct batch_event be = *head;
	struct err err;

	if (batch_decode(&be, &b->arena, &err) < 0) {
		add_bad(b, be.epoch, be.e.seq, payload, err.text);
		return;
	}
	*batch_new_event(b) = be;
	if (be.e.time_us > 0 && (uint64_t)be.e.time_us > b->newest_time_us)
		b->newest_time_us = (uint64_t)be.e.time_us;
}

static void add_alone(struct batch *b, const struct batch_event *head)
{
	b->alone = grow(b->alone, b->n_alone, &b->alone_cap, sizeof *b->alone);
	b->alone[b->n_alone++] = *head;
}

/* Counts the newest entry's events, in their order; prefix is NULL if its bytes are no pack. */
static void receive(struct batch *b, int first, int n_alone, const struct pack_prefix *prefix)
{
	struct ledger_pack *p = &b->ledger[b->n_ledger - 1];

	if (prefix) {
		p->has_prefix = true;
		p->prev = (struct stream_id){ prefix->prev_epoch, prefix->prev_seq };
		p->first_ordinal = prefix->first_ordinal;
		p->n_events = prefix->n_events;
	}
	p->end = b->n_events;
	p->n_alone = (uint32_t)n_alone;
	for (int i = first; i < p->end; i++) {
		b->events[i].pack = b->n_ledger - 1;
		ledger_receive(p, &b->events[i].e);
	}
}

static void add_entry(struct batch *b, const struct stream_entry *entry, struct stats_slot *stats)
{
	struct batch_event head;
	struct pack_event pe;
	struct pack pack;
	enum pack_status status;
	int first = b->n_events, first_alone = b->n_alone;
	struct batch_pack *said;

	if (entry->deleted) /* the keeper records it as a gap, and only then it is forgotten */
		return;
	said = add_id(b, entry->id);
	b->n_bytes += entry->bytes.n;
	new_ledger(b, entry->id);
	status = pack_open(entry->bytes, &pack);
	if (status == PACK_OK)
		*said = (struct batch_pack){ pack.prefix.received_us, pack.prefix.source_time_us,
			pack.prefix.n_events };
	while (status == PACK_OK) {
		status = pack_next(&pack, &pe);
		if (status != PACK_OK)
			break;
		head = head_of(pack.prefix.epoch, &pe);
		if (suspects_have(b->suspects, head.epoch, pe.seq)) {
			add_alone(b, &head);
			continue;
		}
		stats_decode(stats, head.epoch, pe.seq);
		(void)FAILPOINT(batch_event);
		add_event(b, &head, pe.payload);
		stats_decoded(stats);
	}
	if (status != PACK_END) {
		b->n_events = first;
		b->n_alone = first_alone;
		add_bad(b, entry->id.epoch, entry->id.seq, entry->bytes, pack_status_name(status));
	}
	receive(b, first, b->n_alone - first_alone, status == PACK_END ? &pack.prefix : NULL);
}

void batch_add(struct batch *b, struct stream_entries *read, struct stats_slot *stats)
{
	assert(b->n_reads < BATCH_MAX_READS);
	b->reads[b->n_reads] = *read;
	*read = (struct stream_entries){ 0 };
	read = &b->reads[b->n_reads++];
	for (int i = 0; i < read->n; i++)
		add_entry(b, &read->entries[i], stats);
}

/* How long each entry took to be committed. Packs whose append is forgotten count from their receipt: so many
 * came after them that the difference does not matter. */
static void clock_entries(const struct batch *b, const struct stats_page *page, struct histogram *stages)
{
	int64_t now_us = clock_wall_us();

	for (int i = 0; i < b->n_ids; i++) {
		const struct batch_pack *pack = &b->packs[i];
		struct stream_id id = b->ids[i];
		uint64_t appended_us = stats_mark_get(page, id.epoch, id.seq);

		if (!pack->n_events)
			continue;
		histogram_add(&stages[STAGE_commit],
			now_us - (int64_t)(appended_us ? appended_us : pack->received_us), pack->n_events);
		if (pack->source_time_us)
			histogram_add(&stages[STAGE_total], now_us - (int64_t)pack->source_time_us,
				pack->n_events);
	}
}

void batch_count(const struct batch *b, const struct stats_page *page, struct stats_slot *stats)
{
	uint64_t ops = 0;

	for (int i = 0; i < b->n_events; i++)
		ops += b->events[i].e.n_ops;
	stats_add(stats, STAT_events_committed, (uint64_t)(b->n_events + b->n_alone));
	stats_add(stats, STAT_ops_committed, ops);
	stats_add(stats, STAT_batches_committed, 1);
	stats_set(stats, STAT_batch_events, (uint64_t)b->n_events);
	stats_set(stats, STAT_batch_us, (uint64_t)(clock_mono_us() - b->begun_us));
	if (b->newest_time_us)
		stats_set(stats, STAT_commit_time_us, b->newest_time_us);
	clock_entries(b, page, stats->stages);
}

void batch_reset(struct batch *b)
{
	for (int i = 0; i < b->n_reads; i++)
		stream_entries_free(&b->reads[i]);
	arena_reset(&b->arena);
	b->n_reads = b->n_ids = b->n_events = b->n_alone = b->n_ledger = 0;
	b->n_bytes = 0;
	b->newest_time_us = 0;
}

void batch_done(struct batch *b)
{
	batch_reset(b);
	arena_done(&b->arena);
	free(b->ids);
	free(b->packs);
	free(b->events);
	free(b->alone);
	free(b->ledger);
	*b = (struct batch){ 0 };
}
