/* SPDX-License-Identifier: MIT
 *
 * children_world - processes and a clock that a test plays to the children's machine
 */
#ifndef UNIT_CHILDREN_WORLD_H
#define UNIT_CHILDREN_WORLD_H

#include "supervisor/children.h"

#include "tap.h"

#include <signal.h>

enum { EXITED_0 = 0, CRASHED = SIGSEGV }; /* wait statuses */

/* Processes and clock as the test wants them. */
struct world {
	struct children c;
	struct stats_page page;
	int64_t now_us;
	pid_t next_pid;
	int n_spawned, n_drains, last_signal, n_kills;
	bool refuse_spawn;
};

static const int64_t second_us = 1000000;

static pid_t spawn(void *ctx, struct slot *slot)
{
	struct world *w = ctx;

	(void)slot;
	if (w->refuse_spawn)
		return -1;
	w->n_spawned++;
	return w->next_pid++;
}

static void kill_it(void *ctx, struct slot *slot, int signal)
{
	struct world *w = ctx;

	if (!slot->pid) {
		printf("Bail out! killing a process that is not there\n");
		exit(1);
	}
	w->last_signal = signal;
	w->n_kills++;
}

static void drain(void *ctx, struct slot *slot)
{
	(void)slot;
	((struct world *)ctx)->n_drains++;
}

static int64_t now_us(void *ctx)
{
	return ((struct world *)ctx)->now_us;
}

static const struct children_ops ops = { spawn, kill_it, drain, now_us };

/* One reader, two workers, one keeper; wanted if `up`. */
static struct world *world_new(bool up)
{
	static const char *const roles[] = { "reader", "worker", "worker", "keeper" };
	static const int indices[] = { 0, 1, 1, 2 }, numbers[] = { 0, 0, 1, 0 };
	struct world *w = calloc(1, sizeof *w);

	if (!w)
		abort();
	w->now_us = 1000 * second_us;
	w->next_pid = 100;
	children_init(&w->c, &ops, w);
	w->c.drain_timeout_us = 25 * second_us;
	for (int i = 0; i < 4; i++) {
		struct slot *slot =
			children_add(&w->c, roles[i], indices[i], numbers[i], &w->page.slots[i]);

		children_want(&w->c, slot, up);
	}
	return w;
}

static void say(struct world *w, struct slot *slot, enum chan_type type, uint32_t value)
{
	struct chan_msg msg = { .type = type, .value = value };

	children_heard(&w->c, slot, &msg);
}

/* Lets time pass in steps of at most a second, with beats of everybody who runs. */
static void pass(struct world *w, int64_t us, bool beats)
{
	int64_t until_us = w->now_us + us;

	while (w->now_us < until_us) {
		int64_t due_us = children_due_us(&w->c);

		w->now_us = due_us <= w->now_us ? w->now_us + 1000
			: due_us < until_us     ? due_us
						: until_us;
		for (int i = 0; beats && i < w->c.n; i++)
			if (w->c.slots[i].pid)
				say(w, &w->c.slots[i], CHAN_BEAT, CHILD_IDLE);
		children_tick(&w->c);
	}
}

#endif
