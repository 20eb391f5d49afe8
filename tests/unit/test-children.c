/* SPDX-License-Identifier: MIT */
#include "children_world.h"

#include <sys/wait.h>

static void test_start(void)
{
	struct world *w = world_new(true);
	struct slot *reader = &w->c.slots[0];

	ok(w->n_spawned == 4 && reader->state == SLOT_STARTING && w->page.slots[0].pid == 100,
		"what is wanted is started, its pid is in the page");
	ok(!children_healthy(&w->c), "nobody ready: not healthy");
	for (int i = 0; i < 4; i++)
		say(w, &w->c.slots[i], CHAN_READY, 0);
	ok(reader->state == SLOT_READY && children_healthy(&w->c), "all ready: healthy");
	say(w, &w->c.slots[1], CHAN_BEAT, CHILD_WAITING);
	ok(!children_healthy(&w->c) && w->page.slots[1].doing == CHILD_WAITING,
		"one waits: not healthy");
	say(w, &w->c.slots[1], CHAN_BEAT, 999);
	ok(w->page.slots[1].doing == CHILD_WAITING, "a state nobody knows is not taken over");
	free(w);
}

/* Lets the slot end and measures how long it takes to come back. */
static int64_t restart_us(struct world *w, struct slot *slot)
{
	int64_t began_us = w->now_us;
	int n = w->n_spawned;

	children_exited(&w->c, slot, CRASHED);
	while (w->n_spawned == n && w->now_us - began_us < 120 * second_us)
		pass(w, 1000, true);
	return w->now_us - began_us;
}

static void test_backoff(void)
{
	struct world *w = world_new(true);
	struct slot *reader = &w->c.slots[0];
	int64_t expected_us = 100000;
	bool good = true;

	/* far enough apart for the breaker, too short to count as health */
	for (int i = 0; i < 12; i++) {
		int64_t us;

		say(w, reader, CHAN_READY, 0);
		pass(w, 15 * second_us, true);
		us = restart_us(w, reader);
		good = good && us >= expected_us / 2 && us <= expected_us + 2000;
		expected_us = expected_us * 2 > 30 * second_us ? 30 * second_us : expected_us * 2;
	}
	ok(good, "restarts wait 0.1 s doubling to 30 s, at least half of it");
	say(w, reader, CHAN_READY, 0);
	pass(w, 61 * second_us, true);
	ok(restart_us(w, reader) <= 102000,
		"after a minute of health the next restart is quick again");
	ok(w->page.slots[0].starts == 14, "the page counts the starts");
	free(w);
}

static void test_breaker(void)
{
	struct world *w = world_new(true);
	struct slot *worker = &w->c.slots[1];
	int64_t us;

	for (int i = 0; i < 5; i++)
		restart_us(w, worker);
	ok(worker->state == SLOT_STARTING, "five failures in a minute: still quick");
	us = restart_us(w, worker);
	ok(us >= 60 * second_us && us <= 61 * second_us, "the sixth: a minute of rest");
	us = restart_us(w, worker);
	ok(us >= 60 * second_us && us <= 61 * second_us, "and again, while it fails");
	ok(w->c.slots[0].state == SLOT_STARTING && w->n_spawned == 4 + 7,
		"the others keep running");
	say(w, worker, CHAN_READY, 0);
	pass(w, 61 * second_us, true);
	ok(restart_us(w, worker) < second_us, "a minute of health closes the breaker");
	for (int i = 0; i < 6; i++) {
		children_exited(&w->c, worker, CRASHED);
		if (worker->state == SLOT_BACKOFF)
			pass(w, 40 * second_us, true);
	}
	ok(worker->state != SLOT_BROKEN, "failures spread over minutes do not open it");
	free(w);
}

static void test_broken_replaced(void)
{
	struct world *w = world_new(true);
	struct slot *worker = &w->c.slots[1];

	for (int i = 0; i < 5; i++)
		restart_us(w, worker);
	children_exited(&w->c, worker, CRASHED);
	ok(worker->state == SLOT_BROKEN, "broken");
	children_replace(&w->c, worker);
	ok(worker->state == SLOT_STARTING && !worker->broken,
		"a new configuration is tried at once");
	children_exited(&w->c, worker, CRASHED);
	ok(worker->state == SLOT_BACKOFF, "and has its own five attempts");
	children_want(&w->c, worker, false);
	ok(worker->state == SLOT_DOWN, "what is not wanted does not come back");
	free(w);
}

static void test_mute(void)
{
	struct world *w = world_new(true);
	struct slot *reader = &w->c.slots[0];

	for (int i = 1; i < 4; i++) {
		children_want(&w->c, &w->c.slots[i], false);
		children_exited(&w->c, &w->c.slots[i], EXITED_0);
	}
	say(w, reader, CHAN_READY, 0);
	pass(w, 29 * second_us, false);
	ok(w->n_kills == 0 && reader->late, "29 s without a beat: late, alive");
	pass(w, 2 * second_us, false);
	ok(w->n_kills == 1 && w->last_signal == SIGABRT, "31 s: SIGABRT, once");
	pass(w, 4 * second_us, false);
	ok(w->n_kills == 1, "it has 5 s to die of it");
	pass(w, 2 * second_us, false);
	ok(w->n_kills == 2 && w->last_signal == SIGKILL, "then SIGKILL");
	pass(w, 30 * second_us, false);
	ok(w->n_kills == 2, "which is not repeated");
	children_exited(&w->c, reader, CRASHED);
	ok(reader->state == SLOT_BACKOFF, "and then it is restarted");
	free(w);
}

/* Beats go on, but one batch never ends: a thread that beats would lie, the work loop does not, yet it may hang in
 * PostgreSQL for ever. */
static void test_no_progress(void)
{
	struct world *w = world_new(true);
	struct slot *worker = &w->c.slots[1];

	for (int i = 0; i < 170; i++) {
		pass(w, second_us, true);
		say(w, worker, CHAN_BEAT, CHILD_BUSY);
	}
	ok(w->n_kills == 0, "170 s, now and then idle: nothing happens");
	for (int i = 0; i < 500; i++) {
		w->now_us += second_us;
		say(w, worker, CHAN_BEAT, CHILD_BUSY);
		for (int j = 0; j < 4; j++)
			if (j != 1)
				say(w, &w->c.slots[j], CHAN_BEAT, CHILD_IDLE);
		if (i % 100 == 0)
			stats_add(worker->stats, STAT_batches_committed, 1);
		children_tick(&w->c);
	}
	ok(w->n_kills == 0, "busy for long, but it gets on");
	for (int i = 0; i < 90 && w->n_kills == 0; i++) {
		w->now_us += second_us;
		for (int j = 0; j < 4; j++)
			say(w, &w->c.slots[j], CHAN_BEAT, j == 1 ? CHILD_BUSY : CHILD_IDLE);
		children_tick(&w->c);
	}
	ok(w->n_kills == 1 && w->last_signal == SIGABRT, "180 s on one batch: SIGABRT");
	w->now_us += 6 * second_us;
	say(w, worker, CHAN_BEAT, CHILD_BUSY);
	children_tick(&w->c);
	ok(w->n_kills == 2 && w->last_signal == SIGKILL, "then SIGKILL, though it beats");
	children_exited(&w->c, worker, SIGKILL);
	ok(worker->state == SLOT_BACKOFF && strstr(worker->stats->last_exit, "was stuck"), "and it is restarted, with the reason");
	free(w);
}

static void test_due(void)
{
	struct world *w = world_new(true);
	int64_t due_us = children_due_us(&w->c);

	w->now_us += second_us / 2;
	say(w, &w->c.slots[0], CHAN_BEAT, CHILD_IDLE);
	ok(children_due_us(&w->c) == due_us, "a beat does not put the next look at the clock off");
	free(w);
}

/* SIGSTOP of the supervisor, or a machine that stood still. */
static void test_own_sleep(void)
{
	struct world *w = world_new(true);

	pass(w, 5 * second_us, true);
	w->now_us += 300 * second_us;
	children_tick(&w->c);
	pass(w, 2 * second_us, false);
	ok(w->n_kills == 0, "who slept itself does not blame the children");
	free(w);
}

static void test_drain(void)
{
	struct world *w = world_new(true);
	struct slot *worker = &w->c.slots[2];

	say(w, worker, CHAN_READY, 0);
	children_want(&w->c, worker, false);
	ok(worker->state == SLOT_DRAINING && w->n_drains == 1, "not wanted: asked to drain");
	children_want(&w->c, worker, true);
	ok(worker->state == SLOT_DRAINING && w->n_drains == 1, "wanted again: first it ends");
	children_exited(&w->c, worker, EXITED_0);
	ok(worker->state == SLOT_STARTING && w->n_spawned == 5, "then it starts anew, at once");
	children_want(&w->c, worker, false);
	pass(w, 24 * second_us, true);
	ok(w->n_kills == 0, "it may take drain_timeout");
	pass(w, 2 * second_us, true);
	ok(w->n_kills == 1 && w->last_signal == SIGKILL, "and is killed after it");
	children_exited(&w->c, worker, CRASHED);
	ok(worker->state == SLOT_DOWN && w->page.slots[2].pid == 0, "down");
	free(w);
}

static void test_replace(void)
{
	struct world *w = world_new(true);
	struct slot *worker = &w->c.slots[1];

	say(w, worker, CHAN_READY, 0);
	worker->stale = true;
	children_replace(&w->c, worker);
	ok(worker->state == SLOT_DRAINING && worker->stale, "replacing begins with draining");
	children_exited(&w->c, worker, EXITED_0);
	ok(worker->state == SLOT_STARTING && !worker->stale,
		"and ends with a new process, no longer stale");
	free(w);
}

static void test_stop(void)
{
	struct world *w = world_new(true);
	struct slot *s = w->c.slots;

	for (int i = 0; i < 4; i++)
		say(w, &s[i], CHAN_READY, 0);
	children_exited(&w->c, &s[2], CRASHED);
	children_stop(&w->c, w->now_us + 25 * second_us);
	ok(s[0].state == SLOT_DRAINING && s[1].state == SLOT_READY && s[3].state == SLOT_READY,
		"the first role drains first, the others work on");
	ok(s[2].state == SLOT_DOWN, "what waits for its restart stays down");
	children_exited(&w->c, &s[0], EXITED_0);
	children_tick(&w->c);
	ok(s[1].state == SLOT_DRAINING && s[3].state == SLOT_READY, "then the second");
	children_exited(&w->c, &s[3], CRASHED);
	ok(s[3].state == SLOT_DOWN, "what ends by itself meanwhile is not restarted");
	children_exited(&w->c, &s[1], EXITED_0);
	children_tick(&w->c);
	ok(children_down(&w->c) && w->n_kills == 0, "down without a kill");
	free(w);
}

static void test_stop_deadline(void)
{
	struct world *w = world_new(true);

	for (int i = 0; i < 4; i++)
		say(w, &w->c.slots[i], CHAN_READY, 0);
	children_stop(&w->c, w->now_us + 25 * second_us);
	pass(w, 24 * second_us, true);
	ok(w->n_kills == 0 && w->n_drains == 1, "a stuck first role keeps the others waiting");
	pass(w, 2 * second_us, true);
	ok(w->n_kills == 4 && w->last_signal == SIGKILL,
		"until the deadline: all are killed, each once");
	for (int i = 0; i < 4; i++)
		children_exited(&w->c, &w->c.slots[i], CRASHED);
	ok(children_down(&w->c) && w->n_spawned == 4, "and nobody comes back");
	free(w);
}

static void test_no_spawn(void)
{
	struct world *w = world_new(false);

	w->refuse_spawn = true;
	children_want(&w->c, &w->c.slots[0], true);
	ok(w->c.slots[0].state == SLOT_BACKOFF, "no process to be had: tried again later");
	w->refuse_spawn = false;
	pass(w, second_us, true);
	ok(w->c.slots[0].state == SLOT_STARTING, "and then it starts");
	free(w);
}

/* Random calls in any order: no impossible cell (that asserts), pid exactly where a process is. */
static void test_any_order(void)
{
	struct world *w = world_new(false);
	bool good = true;
	unsigned seen = 0;
	uint64_t random = 42;

	for (int i = 0; i < 200000; i++) {
		struct slot *slot;

		random = random * 6364136223846793005 + 1442695040888963407;
		slot = &w->c.slots[random >> 62];
		switch (random >> 58 & 7) {
		case 0:
			children_want(&w->c, slot, (random >> 40 & 7) != 0);
			break;
		case 1:
			/* seldom: it also closes the breaker */
			if ((random >> 40 & 63) == 0)
				children_replace(&w->c, slot);
			break;
		case 2:
			if (slot->pid)
				children_exited(&w->c, slot, random >> 40 & 1 ? CRASHED : EXITED_0);
			break;
		case 3:
			if (slot->pid)
				say(w, slot, CHAN_READY, 0);
			break;
		case 4:
			w->refuse_spawn = random >> 40 & 1;
			break;
		default:
			pass(w, 1 + (int64_t)((random >> 37 & 0x3ffffff) >> (random >> 28 & 15)),
				random >> 36 & 1);
		}
		for (int k = 0; k < 4; k++) {
			const struct slot *s = &w->c.slots[k];
			bool runs = s->state == SLOT_STARTING || s->state == SLOT_READY ||
				s->state == SLOT_DRAINING;

			good = good && runs == (s->pid != 0) && s->stats->pid == (uint32_t)s->pid &&
				s->stats->state == s->state &&
				(s->wanted || s->state == SLOT_DOWN || s->state == SLOT_DRAINING);
			seen |= 1u << s->state;
		}
	}
	ok(good, "200000 random calls: every process is in a state that has one");
	ok(seen == (1u << N_SLOT_STATES) - 1, "and every state was visited (%#x)", seen);
	free(w);
}

static void test_killed_from_outside(void)
{
	struct world *w = world_new(true);
	struct slot *worker = &w->c.slots[1];
	bool good = true;

	for (int i = 0; i < 40; i++) {
		int64_t began_us = w->now_us;
		int n = w->n_spawned;

		children_exited(&w->c, worker, SIGKILL);
		while (w->n_spawned == n && w->now_us - began_us < 120 * second_us)
			pass(w, 1000, true);
		good = good && w->now_us - began_us <= second_us + 2000;
	}
	ok(good, "killed 40 times by somebody else: back within a second each time");
	ok(worker->state == SLOT_STARTING && !worker->broken, "and the breaker stays closed");
	free(w);
}

/* The process of the slot ends like that while it decodes an event, or not. */
static bool leaves_suspect(struct world *w, int wait_status, bool decoding)
{
	struct slot *worker = &w->c.slots[1];
	struct stats_slot *stats = worker->stats;

	while (!worker->pid)
		pass(w, 1000, true);
	stats->suspect_signal = 0;
	stats_decode(stats, 3, 4711);
	if (!decoding)
		stats_decoded(stats);
	children_exited(&w->c, worker, wait_status);
	return stats->suspect_signal && stats->suspect_epoch == 3 && stats->suspect_seq == 4711 &&
	       !stats->decoding;
}

static void test_suspect(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	static const int others[] = { SIGKILL, SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGPIPE };
	struct world *w = world_new(true);
	bool good = true;

	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		good = good && leaves_suspect(w, crashes[i], true) &&
		       w->page.slots[1].suspect_signal == (uint64_t)crashes[i];
	ok(good, "a crash over an event makes it suspect, with the signal");
	good = true;
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		good = good && !leaves_suspect(w, crashes[i], false);
	ok(good, "a crash elsewhere does not");
	good = true;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		good = good && !leaves_suspect(w, others[i], true);
	ok(good && !leaves_suspect(w, EXITED_0, true) && !leaves_suspect(w, 70 << 8, true),
		"nor does any other signal or exit code");
	while (!w->c.slots[1].pid)
		pass(w, 1000, true);
	w->n_kills = 0;
	for (int i = 0; i < 40; i++)
		pass(w, second_us, false);
	ok(w->n_kills > 0 && leaves_suspect(w, SIGKILL, true), "one that the watchdog had to end does");
	free(w);
}

int main(void)
{
	log_init("test", LOG_ERROR);
	test_start();
	test_backoff();
	test_breaker();
	test_broken_replaced();
	test_killed_from_outside();
	test_suspect();
	test_mute();
	test_no_progress();
	test_due();
	test_own_sleep();
	test_drain();
	test_replace();
	test_stop();
	test_stop_deadline();
	test_no_spawn();
	test_any_order();
	return done();
}
