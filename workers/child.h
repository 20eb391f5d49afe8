/* SPDX-License-Identifier: MIT
 *
 * child - what every child process does: channel, heartbeat, configuration, counters, drain
 *
 * A child gets three descriptors: CHAN_FD, CONF_FD (sealed bytes the supervisor validated), STATS_FD.
 * Invariant: waiting always goes through child_wait (or the base made by child_attach), so that a beat
 * leaves at least once a second and a drain request, a log level or the supervisor's death is noticed at once.
 * Owns: conf and the mapped page until child_done.
 */
#ifndef WORKERS_CHILD_H
#define WORKERS_CHILD_H

#include "base/stats.h"
#include "base/wait.h"
#include "io/chan.h"
#include "io/conf.h"

struct event_base;
struct event;

struct child {
	const char *role;
	int slot;
	struct conf *conf;
	struct stats_page *page;
	struct stats_slot *stats; /* ours */
	enum child_state state;
	bool draining;	/* asked to finish */
	bool ready;	/* READY was sent */
	int n_workers;	/* worker slots now configured */
	int64_t next_beat_us;
	uint64_t log_dropped; /* of those counted already */
	char why[240];	/* while CHILD_WAITING: for what */
	struct event_base *base; /* child_attach */
	struct event *chan_event, *beat_event, *signal_event;
	int signal_fd; /* SIGTERM, which is taken as DRAIN */
	void (*on_drain)(void *ctx);
	void *on_drain_ctx;
};

/* Reads the three descriptors, sets PDEATHSIG, core limit and log; -1 if not started by a supervisor. */
int child_init(struct child *c, const char *role, int slot, struct err *err) NODISCARD;
void child_done(struct child *c);
/* For struct waiter: serves the channel, beats, and returns WAIT_STOP as soon as c->draining is set or
 * becomes set. The supervisor's death exits the process. */
enum wait_result child_wait(void *child, int fd, short events, int64_t deadline_us);
/* The same, but draining does not interrupt: for finishing a batch. */
enum wait_result child_wait_through(void *child, int fd, short events, int64_t deadline_us);
/* For a child that runs a libevent loop: channel and beat as events on base; on_drain is called once. */
int child_attach(struct child *c, struct event_base *base, void (*on_drain)(void *ctx), void *ctx,
	struct err *err) NODISCARD;
/* Changes the state shown to the supervisor; why only with CHILD_WAITING (else NULL). */
void child_set_state(struct child *c, enum child_state state, const char *why);
void child_ready(struct child *c);
/* A dependency's settings break the promise: tells the supervisor (who logs and decides). */
void child_refused(struct child *c, const char *text);

/* No lower slot of this role has a process that gave a sign of life in the last seconds. */
bool child_is_lowest(const struct child *c);

/* The roles' mains; the supervisor's role table names them. Return the exit code. */
int reader_main(struct child *c);
int worker_main(struct child *c);
int keeper_main(struct child *c);
int monitor_main(struct child *c);
int resolver_main(struct child *c);

#endif
