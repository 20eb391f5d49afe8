/* SPDX-License-Identifier: MIT */
#include "supervisor/children.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

static const int64_t second_us = 1000000;
static const int64_t backoff_first_us = 100000, backoff_max_us = 30000000, backoff_killed_us = 1000000;
static const int64_t healthy_us = 60000000, breaker_us = 60000000;
static const int64_t late_us = 3000000, mute_us = 30000000, abort_us = 5000000;
/* longer than one batch with all the time limits of its statements */
static const int64_t busy_us = 180000000;

static int64_t now(const struct children *c)
{
	return c->ops->now_us(c->ctx);
}

/* "worker-2", for logs. */
struct slot_name {
	char text[32];
};

static struct slot_name name_of(const struct slot *slot)
{
	struct slot_name name;

	snprintf(name.text, sizeof name.text, "%s-%d", slot->role, slot->number);
	return name;
}

/* ---- acts: each returns the event that follows at once, if any ---- */

typedef enum slot_event act(struct children *c, struct slot *slot);

static enum slot_event stay(struct children *c, struct slot *slot)
{
	(void)c;
	(void)slot;
	return SLOT_EV_NONE;
}

static enum slot_event start(struct children *c, struct slot *slot)
{
	slot->due_us = -1;
	slot->late = slot->aborted = slot->stale = false;
	slot->beat_us = slot->work_us = now(c);
	slot->stats->doing = CHILD_STARTING;
	slot->stats->why[0] = 0;
	slot->pid = c->ops->spawn(c->ctx, slot);
	if (slot->pid < 0) {
		slot->pid = 0;
		return SLOT_EV_EXITED;
	}
	slot->stats->pid = (uint32_t)slot->pid;
	slot->stats->starts++;
	log_notice("child.started", "child=%s pid=%d", name_of(slot).text, (int)slot->pid);
	return SLOT_EV_NONE;
}

static enum slot_event announce(struct children *c, struct slot *slot)
{
	slot->was_ready = true;
	slot->ready_us = now(c);
	log_notice("child.ready", "child=%s pid=%d", name_of(slot).text, (int)slot->pid);
	return SLOT_EV_NONE;
}

static enum slot_event ask_drain(struct children *c, struct slot *slot)
{
	slot->due_us = c->stop_us >= 0 ? c->stop_us : now(c) + c->drain_timeout_us;
	c->ops->drain(c->ctx, slot);
	return SLOT_EV_NONE;
}

/* Between half of v and v, so that slots that fail together do not start together. */
static int64_t jitter(int64_t v)
{
	uint32_t r = 0;

	/* without the kernel's random numbers all wait as long: not worth an error */
	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
		return v;
	return v / 2 + (int64_t)r % (v / 2 + 1);
}

static enum slot_event back_off(struct children *c, struct slot *slot)
{
	int64_t max_us = slot->killed ? backoff_killed_us : backoff_max_us, delay_us;

	slot->backoff_us = slot->backoff_us ? slot->backoff_us * 2 : backoff_first_us;
	if (slot->backoff_us > max_us)
		slot->backoff_us = max_us;
	delay_us = jitter(slot->backoff_us);
	slot->due_us = now(c) + delay_us;
	return SLOT_EV_NONE;
}

static enum slot_event trip(struct children *c, struct slot *slot)
{
	if (!slot->broken)
		log_error("child.broken",
			"child=%s: ended more than %d times in a minute and is now "
			"started once a minute; its messages above say why",
			name_of(slot).text, CHILDREN_MAX_FAILURES);
	slot->broken = true;
	slot->due_us = now(c) + breaker_us;
	return SLOT_EV_NONE;
}

static enum slot_event abort_child(struct children *c, struct slot *slot)
{
	bool mute = now(c) - slot->beat_us > mute_us;

	log_error("child.stuck", "child=%s pid=%d: %s for %lld s, aborting it", name_of(slot).text, (int)slot->pid,
		mute ? "no sign of life" : "busy with one piece of work",
		(long long)((now(c) - (mute ? slot->beat_us : slot->work_us)) / second_us));
	c->ops->kill(c->ctx, slot, SIGABRT);
	slot->due_us = now(c) + abort_us;
	return SLOT_EV_NONE;
}

static enum slot_event kill_child(struct children *c, struct slot *slot)
{
	log_warning("child.killed", "child=%s pid=%d state=%s: did not end in time",
		name_of(slot).text, (int)slot->pid, slot_state_name(slot->state));
	c->ops->kill(c->ctx, slot, SIGKILL);
	slot->due_us = -1;
	return SLOT_EV_NONE;
}

static enum slot_event rest(struct children *c, struct slot *slot)
{
	(void)c;
	slot->due_us = -1;
	return SLOT_EV_NONE;
}

/* Drained: that was for good, or to be replaced. */
static enum slot_event rest_or_rise(struct children *c, struct slot *slot)
{
	slot->due_us = -1;
	return slot->wanted && c->stop_us < 0 ? SLOT_EV_UP : SLOT_EV_NONE;
}

/* THE machine. A cell without an act cannot happen. */
static const struct edge {
	act *act;
	enum slot_state next;
} edges[N_SLOT_STATES][N_SLOT_EVENTS] = {
	[SLOT_DOWN] = {
		[SLOT_EV_UP] = { start, SLOT_STARTING },
		[SLOT_EV_DRAIN] = { stay, SLOT_DOWN },
	},
	[SLOT_STARTING] = {
		[SLOT_EV_UP] = { stay, SLOT_STARTING },
		[SLOT_EV_DRAIN] = { ask_drain, SLOT_DRAINING },
		[SLOT_EV_READY] = { announce, SLOT_READY },
		[SLOT_EV_EXITED] = { back_off, SLOT_BACKOFF },
		[SLOT_EV_TRIPPED] = { trip, SLOT_BROKEN },
		[SLOT_EV_MUTE] = { abort_child, SLOT_STARTING },
		[SLOT_EV_TIMER] = { kill_child, SLOT_STARTING },
	},
	[SLOT_READY] = {
		[SLOT_EV_UP] = { stay, SLOT_READY },
		[SLOT_EV_DRAIN] = { ask_drain, SLOT_DRAINING },
		[SLOT_EV_READY] = { stay, SLOT_READY },
		[SLOT_EV_EXITED] = { back_off, SLOT_BACKOFF },
		[SLOT_EV_TRIPPED] = { trip, SLOT_BROKEN },
		[SLOT_EV_MUTE] = { abort_child, SLOT_READY },
		[SLOT_EV_TIMER] = { kill_child, SLOT_READY },
	},
	[SLOT_DRAINING] = {
		[SLOT_EV_UP] = { stay, SLOT_DRAINING },
		[SLOT_EV_DRAIN] = { stay, SLOT_DRAINING },
		[SLOT_EV_READY] = { stay, SLOT_DRAINING },
		[SLOT_EV_EXITED] = { rest_or_rise, SLOT_DOWN },
		[SLOT_EV_TIMER] = { kill_child, SLOT_DRAINING },
	},
	[SLOT_BACKOFF] = {
		[SLOT_EV_UP] = { stay, SLOT_BACKOFF },
		[SLOT_EV_DRAIN] = { rest, SLOT_DOWN },
		[SLOT_EV_TIMER] = { start, SLOT_STARTING },
	},
	[SLOT_BROKEN] = {
		[SLOT_EV_UP] = { stay, SLOT_BROKEN },
		[SLOT_EV_DRAIN] = { rest, SLOT_DOWN },
		[SLOT_EV_TIMER] = { start, SLOT_STARTING },
	},
};

/* Takes the event and those that follow from it. */
static void happen(struct children *c, struct slot *slot, enum slot_event event)
{
	while (event != SLOT_EV_NONE) {
		const struct edge *edge = &edges[slot->state][event];

		assert(edge->act);
		slot->state = edge->next;
		event = edge->act(c, slot);
	}
	slot->stats->state = slot->state;
}

/* ---- the outside ---- */

void children_init(struct children *c, const struct children_ops *ops, void *ctx)
{
	*c = (struct children){ .ops = ops, .ctx = ctx, .stop_us = -1 };
	c->ticked_us = now(c);
}

struct slot *children_add(struct children *c, const char *role, int role_index, int number,
	struct stats_slot *stats)
{
	struct slot *slot;

	assert(c->n < STATS_MAX_SLOTS);
	slot = &c->slots[c->n++];
	*slot = (struct slot){ .role = role,
		.role_index = role_index,
		.number = number,
		.stats = stats,
		.due_us = -1,
		.chan_fd = -1 };
	snprintf(stats->role, sizeof stats->role, "%s", role);
	stats->slot = (uint32_t)number;
	return slot;
}

struct slot *children_of_pid(struct children *c, pid_t pid)
{
	for (int i = 0; i < c->n; i++)
		if (c->slots[i].pid == pid)
			return &c->slots[i];
	return NULL;
}

void children_want(struct children *c, struct slot *slot, bool wanted)
{
	if (slot->wanted == wanted)
		return;
	slot->wanted = wanted;
	happen(c, slot, wanted ? SLOT_EV_UP : SLOT_EV_DRAIN);
}

void children_replace(struct children *c, struct slot *slot)
{
	slot->backoff_us = 0;
	slot->n_failures = 0;
	slot->broken = false;
	happen(c, slot, SLOT_EV_DRAIN);
	if (slot->state == SLOT_DOWN && slot->wanted)
		happen(c, slot, SLOT_EV_UP);
}

void children_heard(struct children *c, struct slot *slot, const struct chan_msg *msg)
{
	slot->beat_us = now(c);
	slot->late = false;
	if (msg->type == CHAN_READY) {
		happen(c, slot, SLOT_EV_READY);
	} else if (msg->type == CHAN_BEAT && msg->value < N_CHILD_STATES) {
		slot->stats->doing = msg->value;
		snprintf(slot->stats->why, sizeof slot->stats->why, "%s",
			msg->value == CHILD_WAITING ? msg->text : "");
	}
}

/* Counts a failure; true if there were too many. */
static bool count_failure(struct children *c, struct slot *slot)
{
	const unsigned size = CHILDREN_MAX_FAILURES + 1;
	int64_t now_us = now(c);

	if (slot->state == SLOT_READY && now_us - slot->ready_us >= healthy_us)
		slot->backoff_us = 0;
	slot->failures_us[slot->n_failures++ % size] = now_us;
	if (slot->broken)
		return true;
	/* the next place in the ring holds the oldest of the last six */
	return slot->n_failures >= size &&
		now_us - slot->failures_us[slot->n_failures % size] <= breaker_us;
}

/* While stopping: the first role that is not down is asked to drain. */
static void stop_step(struct children *c)
{
	int role_index = -1;

	for (int i = 0; i < c->n; i++) {
		struct slot *slot = &c->slots[i];

		if (slot->state == SLOT_DOWN)
			continue;
		if (role_index < 0)
			role_index = slot->role_index;
		if (slot->role_index == role_index && slot->state != SLOT_DRAINING)
			happen(c, slot, SLOT_EV_DRAIN);
	}
}

/* Ended by somebody else's signal: no fault of its own, so it neither opens the breaker nor waits long. */
static bool was_killed(const struct slot *slot, int wait_status)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == signals[i])
			return !slot->aborted;
	return false;
}

/* Crashed, or stuck, while it decoded an event: the event is suspect, and the next process in this slot is told
 * so. Any other end says nothing against it. */
static void note_suspect(struct slot *slot, int wait_status)
{
	struct stats_slot *stats = slot->stats;
	int signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;

	if ((stats_is_crash(signal) || (signal && slot->aborted)) && stats->decoding) {
		stats->suspect_epoch = stats->decode_epoch;
		stats->suspect_seq = stats->decode_seq;
		stats->suspect_signal = (uint64_t)signal;
		log_error("child.suspect", "child=%s-%d signal=SIG%s event=%llu-%llu action=\"it is processed alone\"",
			slot->role, slot->number, sigabbrev_np(signal), (unsigned long long)stats->suspect_epoch,
			(unsigned long long)stats->suspect_seq);
	}
	stats->decoding = 0;
}

void children_exited(struct children *c, struct slot *slot, int wait_status)
{
	bool drained = slot->state == SLOT_DRAINING, fault;
	char how[48];

	if (WIFSIGNALED(wait_status))
		snprintf(how, sizeof how, "signal=SIG%s", sigabbrev_np(WTERMSIG(wait_status)));
	else
		snprintf(how, sizeof how, "code=%d", WEXITSTATUS(wait_status));
	log_write(drained ? LOG_NOTICE : LOG_WARNING, "child.exited", "child=%s pid=%d %s asked=%s",
		name_of(slot).text, (int)slot->pid, how, drained ? "yes" : "no");
	snprintf(slot->stats->last_exit, sizeof slot->stats->last_exit, "%s%s", how,
		drained ? " (asked to)" : slot->aborted ? " (was stuck)" : "");
	slot->stats->last_exit_us = (uint64_t)now(c);
	note_suspect(slot, wait_status);
	slot->pid = 0;
	slot->stats->pid = 0;
	slot->killed = was_killed(slot, wait_status);
	fault = !drained && !slot->killed;
	happen(c, slot, fault && count_failure(c, slot) ? SLOT_EV_TRIPPED : SLOT_EV_EXITED);
	if (c->stop_us < 0)
		return;
	/* what ends by itself while we stop is not started again */
	happen(c, slot, SLOT_EV_DRAIN);
	stop_step(c);
}

/* Notes progress; false if it has been busy without any for too long. */
static bool gets_on(struct slot *slot, int64_t now_us)
{
	uint64_t work = stats_work(slot->stats);

	if (slot->stats->doing != CHILD_BUSY || work != slot->work)
		slot->work_us = now_us;
	slot->work = work;
	return now_us - slot->work_us <= busy_us;
}

/* Judges the beats and the progress of a running child, and closes the breaker of a healthy one. */
static void watch(struct children *c, struct slot *slot)
{
	int64_t now_us = now(c), age_us = now_us - slot->beat_us;

	if (slot->state != SLOT_STARTING && slot->state != SLOT_READY)
		return;
	if (age_us > late_us && !slot->late) {
		slot->late = true;
		log_warning("child.late", "child=%s pid=%d: no sign of life for %lld s",
			name_of(slot).text, (int)slot->pid, (long long)(age_us / second_us));
	}
	if ((!gets_on(slot, now_us) || age_us > mute_us) && !slot->aborted) {
		slot->aborted = true;
		happen(c, slot, SLOT_EV_MUTE);
	}
	if (slot->broken && slot->state == SLOT_READY && now_us - slot->ready_us >= healthy_us) {
		slot->broken = false;
		slot->n_failures = 0;
		log_notice("child.mended", "child=%s pid=%d", name_of(slot).text, (int)slot->pid);
	}
}

void children_tick(struct children *c)
{
	int64_t now_us = now(c);
	/* we were stopped ourselves: the beats of that time are still unread */
	bool slept = now_us - c->ticked_us > late_us;

	c->ticked_us = now_us;
	for (int i = 0; i < c->n; i++) {
		struct slot *slot = &c->slots[i];

		if (slept)
			slot->beat_us = slot->work_us = now_us;
		if (slot->due_us >= 0 && slot->due_us <= now_us)
			happen(c, slot, SLOT_EV_TIMER);
		watch(c, slot);
	}
	if (c->stop_us < 0)
		return;
	if (now_us >= c->stop_us)
		children_kill(c);
	stop_step(c);
}

int64_t children_due_us(const struct children *c)
{
	/* from the last tick, not from now: every beat asks, and would put the tick off for ever */
	int64_t now_us = now(c), due_us = c->ticked_us + second_us;

	for (int i = 0; i < c->n; i++)
		if (c->slots[i].due_us >= 0 && c->slots[i].due_us < due_us)
			due_us = c->slots[i].due_us;
	/* once passed it has had its effect */
	if (c->stop_us > now_us && c->stop_us < due_us)
		due_us = c->stop_us;
	return due_us;
}

void children_stop(struct children *c, int64_t deadline_us)
{
	c->stop_us = deadline_us;
	for (int i = 0; i < c->n; i++) {
		struct slot *slot = &c->slots[i];

		slot->wanted = false;
		if (slot->state == SLOT_BACKOFF || slot->state == SLOT_BROKEN)
			happen(c, slot, SLOT_EV_DRAIN);
		if (slot->state == SLOT_DRAINING && slot->due_us > deadline_us)
			slot->due_us = deadline_us;
	}
	stop_step(c);
}

void children_kill(struct children *c)
{
	for (int i = 0; i < c->n; i++) {
		struct slot *slot = &c->slots[i];

		if (!slot->pid)
			continue;
		happen(c, slot, SLOT_EV_DRAIN);
		if (slot->due_us >= 0)
			happen(c, slot, SLOT_EV_TIMER);
	}
}

bool children_down(const struct children *c)
{
	for (int i = 0; i < c->n; i++)
		if (c->slots[i].state != SLOT_DOWN)
			return false;
	return true;
}

bool children_healthy(const struct children *c)
{
	for (int i = 0; i < c->n; i++) {
		const struct slot *slot = &c->slots[i];

		if (slot->wanted &&
			(slot->state != SLOT_READY || slot->stats->doing == CHILD_WAITING))
			return false;
	}
	return true;
}
