/* SPDX-License-Identifier: MIT
 *
 * apply - the plan's batches through the production writer, without Redis, from several processes
 */
#include "any_order.h"

#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORKERS = 16, MAX_TRIES = 1000, PACKS_PER_BATCH = 3 };

/* The page all workers share. */
struct shared {
	atomic_int next_lane;
	struct stats_slot stats[MAX_WORKERS];
};

static struct op op_of(const struct change *c)
{
	static const uint8_t broken[] = { 0xa1, 0x61 }; /* a map cut off */
	struct op op = { .action = c->record ? OP_CREATE : OP_DELETE, .collection = slice_str(c->collection),
		.rkey = slice_str(c->rkey) };

	if (c->record) {
		memcpy(op.cid, c->record->digest, sizeof op.cid);
		op.record = c->record->cbor;
	}
	if (c->flaw == FLAW_REFUSED) {
		op.verdict = OP_VERDICT_CID_MISMATCH;
	} else if (c->flaw == FLAW_INVALID) {
		op.action = OP_UPDATE;
		op.record = slice_of(broken, sizeof broken);
	}
	return op;
}

/* The event as the pack's decoder would give it. */
static struct batch_event event_of(const struct history *h, const struct happening *h_event, uint64_t epoch,
	struct arena *arena)
{
	struct event e = { .kind = h_event->kind, .seq = h_event->seq, .did = slice_str(h->dids[h_event->account]),
		.rev = h_event->rev, .n_ops = (uint32_t)h_event->n_changes, .active = h_event->active,
		.gap_after_epoch = 1, .gap_after_seq = h_event->gap_after, .gap_first_seq = h_event->gap_first };

	memcpy(e.commit_cid, h_event->commit_cid, sizeof e.commit_cid);
	memcpy(e.data, h_event->data, sizeof e.data);
	if (h_event->handle)
		e.handle = slice_str(h_event->handle);
	e.has_handle = h_event->handle != NULL;
	if (h_event->status)
		e.status = slice_str(h_event->status);
	if (e.kind == EVENT_GAP)
		e.reason = slice_str("unproven");
	e.ops = arena_alloc(arena, e.n_ops * sizeof *e.ops);
	for (uint32_t i = 0; i < e.n_ops; i++)
		e.ops[i] = op_of(&h_event->changes[i]);
	return (struct batch_event){ .e = e, .epoch = epoch, .bytes = slice_of(h_event->commit_cid, CID_DIGEST) };
}

/* Writes one batch until it is committed; deadlocks between workers are repeated as a worker would. */
static bool write_batch(struct writer *w, const struct batch *b)
{
	struct err err;

	for (int i = 0; i < MAX_TRIES; i++) {
		enum write_status status = writer_write(w, b, &err);

		if (status == WRITE_OK)
			return true;
		if (status != WRITE_E_RETRY)
			break;
		stats_add(w->stats, STAT_retries, 1);
	}
	printf("# batch not written: %s\n", err.text);
	return false;
}

/* The events of a batch came in a few packs. */
static void cut_packs(struct batch *b, uint64_t epoch, int batch)
{
	b->n_ledger = b->n_events < PACKS_PER_BATCH ? b->n_events : PACKS_PER_BATCH;
	for (int i = 0; i < b->n_events; i++) {
		int place = i * b->n_ledger / b->n_events;
		struct ledger_pack *p = &b->ledger[place];

		p->id = (struct stream_id){ epoch, (uint64_t)(batch * PACKS_PER_BATCH + place + 1) };
		p->n_events++;
		p->end = i + 1;
		ledger_receive(p, &b->events[i].e);
		b->events[i].pack = place;
	}
}

static bool apply_batch(const struct apply *a, struct writer *w, int batch, struct arena *arena)
{
	int first = batch ? a->plan->batch_end[batch - 1] : 0, n = a->plan->batch_end[batch] - first;
	struct batch b = { 0 };

	arena_reset(arena);
	b.events = arena_alloc(arena, (size_t)n * sizeof *b.events);
	b.ledger = arena_zalloc(arena, PACKS_PER_BATCH, sizeof *b.ledger);
	for (int i = first; i < first + n; i++) {
		const struct delivery *d = &a->plan->deliveries[i];
		const struct history *h = &a->world->histories[d->instance];

		if (a->only >= 0 && d->instance != a->only)
			continue;
		if (a->epoch > 1 && h->events[d->event].kind == EVENT_GAP)
			continue;
		b.events[b.n_events++] = event_of(h, &h->events[d->event], a->epoch, arena);
	}
	cut_packs(&b, a->epoch, batch);
	return write_batch(w, &b);
}

/* A worker: takes lane after lane. */
static bool work(const struct apply *a, struct shared *shared, int slot)
{
	struct arena arena = ARENA_INIT;
	struct writer w;
	struct err err;
	bool good = true;

	if (writer_init(&w, a->conninfo, "any-order", (struct waiter){ wait_poll, NULL }, &shared->stats[slot], &err) < 0) {
		printf("# %s\n", err.text);
		return false;
	}
	while (good) {
		int lane = atomic_fetch_add(&shared->next_lane, 1);

		if (lane >= a->plan->n_lanes)
			break;
		for (int b = lane ? a->plan->lane_end[lane - 1] : 0; good && b < a->plan->lane_end[lane]; b++)
			good = apply_batch(a, &w, b, &arena);
	}
	writer_done(&w);
	arena_done(&arena);
	return good;
}

static void show_stats(const struct shared *shared, int n)
{
	static const enum stats_id shown[] = { STAT_rows_changed, STAT_rows_unchanged, STAT_pending_created,
		STAT_dead_letters, STAT_retries, STAT_bisections };

	printf("#  ");
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		uint64_t total = 0;

		for (int j = 0; j < n; j++)
			total += stats_get(&shared->stats[j], shown[i]);
		printf(" %s=%llu", stats_info[shown[i]].name, (unsigned long long)total);
	}
	printf("\n");
}

bool apply_all(const struct apply *a)
{
	struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool good = shared != MAP_FAILED;
	int status, n = 0;

	fflush(stdout);
	for (; good && n < a->n_workers; n++) {
		pid_t pid = fork();

		if (pid == 0) {
			log_init("any-order", LOG_ERROR); /* dead letters are wanted here */
			good = work(a, shared, n);
			fflush(stdout);
			_exit(good ? 0 : 1);
		}
		good = pid > 0;
	}
	while (wait(&status) > 0)
		good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (shared != MAP_FAILED) {
		show_stats(shared, n);
		munmap(shared, sizeof *shared);
	}
	return good;
}
