/* SPDX-License-Identifier: MIT
 *
 * plan - every instance's events in some order, interleaved with others' and cut into batches
 */
#include "any_order.h"

#include <stdio.h>
#include <stdlib.h>

/* All six events in one batch, three and three, each in its own. */
const int class_cuts[N_CUTS] = { 1, 2, CLASS_EVENTS };

enum { GROUP_MAX = 60, REPEAT_PERCENT = 15 };

struct class_place class_place(const struct world *w, int instance)
{
	int i = instance - w->n_shuffles;

	return (struct class_place){ i / w->n_orders / N_CUTS, i / w->n_orders % N_CUTS, i % w->n_orders * w->every };
}

static void *grow(void *p, int n, int *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap ? *cap * 2 : 1024;
	p = realloc(p, (size_t)*cap * size);
	if (!p)
		abort();
	return p;
}

static void deliver(struct plan *p, int instance, int event)
{
	p->deliveries = grow(p->deliveries, p->n, &p->cap, sizeof *p->deliveries);
	p->deliveries[p->n++] = (struct delivery){ instance, event };
}

static void end_batch(struct plan *p)
{
	p->batch_end = grow(p->batch_end, p->n_batches, &p->batches_cap, sizeof *p->batch_end);
	p->batch_end[p->n_batches++] = p->n;
}

static void end_lane(struct plan *p)
{
	p->lane_end = grow(p->lane_end, p->n_lanes, &p->lanes_cap, sizeof *p->lane_end);
	p->lane_end[p->n_lanes++] = p->n_batches;
}

static void shuffle(int *a, int n, struct rng *rng)
{
	for (int i = n - 1; i > 0; i--) {
		int j = (int)rng_below(rng, (uint64_t)i + 1), t = a[i];

		a[i] = a[j];
		a[j] = t;
	}
}

/* One instance's deliveries: all events in random order, some of them more than once. */
struct queue {
	int *events, n, next;
};

static struct queue queue_of(const struct history *h, struct arena *arena, struct rng *rng)
{
	struct queue q = { .events = arena_alloc(arena, (size_t)h->n_events * 2 * sizeof(int)) };

	for (int i = 0; i < h->n_events; i++) {
		q.events[q.n++] = i;
		if (rng_percent(rng, REPEAT_PERCENT))
			q.events[q.n++] = i;
	}
	shuffle(q.events, q.n, rng);
	return q;
}

/* Instances first .. first + n - 1, interleaved, in batches of 1 to max events. */
static void plan_group(struct plan *p, const struct world *w, int first, int n, int max, struct rng *rng)
{
	struct arena arena = ARENA_INIT;
	struct queue *queues = arena_alloc(&arena, (size_t)n * sizeof *queues);
	int total = 0, left, *turns, k = 0;

	for (int i = 0; i < n; i++) {
		queues[i] = queue_of(&w->histories[first + i], &arena, rng);
		total += queues[i].n;
	}
	turns = arena_alloc(&arena, (size_t)total * sizeof *turns);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < queues[i].n; j++)
			turns[k++] = i;
	shuffle(turns, total, rng);
	left = 1 + (int)rng_below(rng, (uint64_t)max);
	for (int i = 0; i < total; i++) {
		struct queue *q = &queues[turns[i]];

		deliver(p, first + turns[i], q->events[q->next++]);
		if (--left && i < total - 1)
			continue;
		end_batch(p);
		end_lane(p);
		left = 1 + (int)rng_below(rng, (uint64_t)max);
	}
	arena_done(&arena);
}

static void plan_shuffles(struct plan *p, const struct world *w, struct rng *rng)
{
	static const int sizes[] = { 40, 400, 1200 };
	int n;

	for (int first = 0; first < w->n_shuffles; first += n) {
		bool alone = rng_percent(rng, 8); /* few at a time: many events of one instance in a batch */

		n = alone ? 1 + (int)rng_below(rng, 2) : 10 + (int)rng_below(rng, GROUP_MAX);
		if (n > w->n_shuffles - first)
			n = w->n_shuffles - first;
		plan_group(p, w, first, n, alone ? 12 : sizes[rng_below(rng, 3)], rng);
	}
}

/* The n-th order of six things, from n's digits in the factorial system. */
static void nth_order(int n, int ret[CLASS_EVENTS])
{
	int left[CLASS_EVENTS], n_left = CLASS_EVENTS, weight = CLASS_ORDERS;

	for (int i = 0; i < CLASS_EVENTS; i++)
		left[i] = i;
	for (int i = 0; i < CLASS_EVENTS; i++) {
		int which;

		weight /= n_left;
		which = n / weight;
		n %= weight;
		ret[i] = left[which];
		n_left--;
		memmove(left + which, left + which + 1, (size_t)(n_left - which) * sizeof *left);
	}
}

/* The orders of one class; batch k holds the k-th part of all of them, and batches follow each other. */
static void plan_class(struct plan *p, const struct world *w, int first, int n_batches)
{
	int per_batch = CLASS_EVENTS / n_batches;

	for (int b = 0; b < n_batches; b++) {
		for (int n = 0; n < w->n_orders; n++) {
			int order[CLASS_EVENTS];

			nth_order(n * w->every, order);
			for (int i = 0; i < per_batch; i++)
				deliver(p, first + n, order[b * per_batch + i]);
		}
		end_batch(p);
	}
	end_lane(p);
}

void plan_make(struct plan *p, const struct world *w, uint64_t salt)
{
	struct rng rng = rng_seeded(w->seed ^ salt << 48);

	*p = (struct plan){ 0 };
	plan_shuffles(p, w, &rng);
	for (int i = w->n_shuffles; i < w->n_instances; i += w->n_orders)
		plan_class(p, w, i, class_cuts[class_place(w, i).cut]);
}

void plan_done(struct plan *p)
{
	free(p->deliveries);
	free(p->batch_end);
	free(p->lane_end);
	*p = (struct plan){ 0 };
}

static void show_change(const struct change *c)
{
	printf("\n#       %s %s%s %s", c->collection, c->rkey, c->flaw ? " (flawed)" : "",
		c->record ? c->record->json : "deleted");
	if (c->record)
		printf(" digest=%02x%02x", c->record->digest[0], c->record->digest[1]);
}

/* True if the line of the dump is about this record. */
static bool names(const char *line, const struct change *c)
{
	char text[600];

	snprintf(text, sizeof text, " %s %s ", c->collection, c->rkey);
	return strstr(line, text) != NULL;
}

/* Prints an event unless it has nothing to do with the line. */
static void show_event(const struct history *h, const struct happening *e, int batch, const char *line)
{
	bool about_record = strstr(line, " record ") != NULL, any = e->kind != EVENT_COMMIT || !about_record;
	const char *about = e->kind == EVENT_GAP ? "gap " : h->dids[e->account];

	for (int i = 0; i < e->n_changes; i++)
		any |= names(line, &e->changes[i]);
	if (!any || strncmp(line, about, strlen(about)))
		return;
	printf("#   batch %d: seq=%llu %s", batch, (unsigned long long)e->seq, event_kind_name(e->kind));
	if (e->kind == EVENT_COMMIT || e->kind == EVENT_SYNC)
		printf(" rev=%llu", (unsigned long long)(e->rev - nth_rev(0)) >> 20);
	if (e->kind == EVENT_ACCOUNT)
		printf(" active=%d status=%s", e->active, e->status ? e->status : "-");
	if (e->kind == EVENT_IDENTITY)
		printf(" handle=%s", e->handle ? e->handle : "-");
	for (int i = 0; i < e->n_changes; i++)
		if (!about_record || names(line, &e->changes[i]))
			show_change(&e->changes[i]);
	printf("\n");
}

void plan_show(const struct plan *p, const struct world *w, int instance, const char *line)
{
	const struct history *h = &w->histories[instance];

	for (int b = 0, i = 0; b < p->n_batches; b++)
		for (; i < p->batch_end[b]; i++)
			if (p->deliveries[i].instance == instance)
				show_event(h, &h->events[p->deliveries[i].event], b, line);
}
