/* SPDX-License-Identifier: MIT
 *
 * children - the supervised processes: one slot each, one state machine, one table
 *
 * A slot is wanted or not; the machine makes it so: starts, restarts after 0.1 s doubling to 30 s (with
 * jitter), asks to drain, aborts what does not beat or is busy without getting on, kills what does not end. A slot that ends more than
 * five times in 60 s is BROKEN: it is tried once a minute, the others keep running. One that somebody
 * else kills (SIGKILL, SIGTERM...) is not at fault: back within a second, and no breaker. One that crashes, or is
 * aborted, while its counters say that it decodes an event leaves that event there as a suspect.
 * Owns: nothing but numbers; processes, descriptors and the clock are behind struct children_ops, so
 * that a test can play them. Invariant: pid != 0 exactly in STARTING, READY and DRAINING.
 * Errors: none; an impossible event is a bug and asserts.
 * Must not know: what a role does, the configuration, the event loop.
 */
#ifndef SUPERVISOR_CHILDREN_H
#define SUPERVISOR_CHILDREN_H

#include "base/log.h"
#include "base/stats.h"
#include "io/chan.h"

#include <sys/types.h>

struct event;

#define SLOT_EVENTS(X)                                                                             \
	X(UP)	   /* wanted */                                                                    \
	X(DRAIN)   /* not wanted, or to be replaced */                                             \
	X(READY)   /* said so */                                                                   \
	X(EXITED)                                                                                  \
	X(TRIPPED) /* exited, once too often */                                                    \
	X(MUTE)	   /* no beat, or no progress, for too long */                                                      \
	X(TIMER)   /* due_us has passed */

enum slot_event {
#define X(name) SLOT_EV_##name,
	SLOT_EVENTS(X)
#undef X
	N_SLOT_EVENTS,
	SLOT_EV_NONE = N_SLOT_EVENTS
};

enum { CHILDREN_MAX_FAILURES = 5 };

struct slot {
	const char *role;
	int role_index, number;	  /* place in the role table; number within the role */
	struct stats_slot *stats; /* in the page: role, pid, state are kept up to date there */
	enum slot_state state;
	pid_t pid;
	bool wanted;
	bool stale;	/* runs with an older configuration than it should */
	bool was_ready; /* at least once since the supervisor started */
	bool broken;	/* the breaker is open */
	bool late, aborted;
	bool killed; /* its last process was ended by somebody else's signal */
	int64_t ready_us, beat_us;
	int64_t work_us; /* when it last got on: any counter moved, or it was not busy */
	uint64_t work;
	int64_t due_us; /* of TIMER; -1: none */
	int64_t backoff_us;
	int64_t failures_us[CHILDREN_MAX_FAILURES + 1]; /* ring of the last ones */
	unsigned n_failures;
	int chan_fd; /* these two belong to the implementer of the ops */
	struct event *chan_event;
};

struct children_ops {
	/* Starts a process for the slot; its pid, or -1 (already logged). */
	pid_t (*spawn)(void *ctx, struct slot *slot);
	void (*kill)(void *ctx, struct slot *slot, int signal);
	void (*drain)(void *ctx, struct slot *slot);
	int64_t (*now_us)(void *ctx);
};

struct children {
	struct slot slots[STATS_MAX_SLOTS];
	int n;
	const struct children_ops *ops;
	void *ctx;
	int64_t drain_timeout_us;
	int64_t ticked_us;
	int64_t stop_us; /* deadline of children_stop, -1 while running */
};

void children_init(struct children *c, const struct children_ops *ops, void *ctx);
/* Adds a slot, not wanted yet; stats is its place in the page. */
struct slot *children_add(struct children *c, const char *role, int role_index, int number,
	struct stats_slot *stats);
struct slot *children_of_pid(struct children *c, pid_t pid);
/* Starts the slot, or lets it finish. */
void children_want(struct children *c, struct slot *slot, bool wanted);
/* Lets the process finish and starts another; what waits for its next start is started now. */
void children_replace(struct children *c, struct slot *slot);
/* A message of the child has come. */
void children_heard(struct children *c, struct slot *slot, const struct chan_msg *msg);
/* waitpid has reaped the slot's process. */
void children_exited(struct children *c, struct slot *slot, int wait_status);
/* Time has passed: call at least once a second, and when children_due_us says so. */
void children_tick(struct children *c);
/* When something is due at the latest. */
int64_t children_due_us(const struct children *c);
/* Ends everything, role by role in the order they were added, each when the one before is down; what is
 * left at the deadline is killed. */
void children_stop(struct children *c, int64_t deadline_us);
/* Kills everything at once; only after children_stop. */
void children_kill(struct children *c);
/* No process is left. */
bool children_down(const struct children *c);
/* Every wanted slot is READY and waits for nothing. */
bool children_healthy(const struct children *c);

#endif
