/* SPDX-License-Identifier: MIT
 *
 * supervisor - starts, watches, replaces and ends the children; the only process that decides
 *
 * Owns: the lock, the status socket, the counters' page, the configuration in force and its sealed copy,
 * the event loop and the children, all until supervisor_run returns.
 * Invariant: no child outlives it (PDEATHSIG, subreaper, end of file on the channel).
 * Must not know: network, SQL, Redis, foreign bytes; which roles there are (that is main.c's table).
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "io/conf.h"
#include "supervisor/children.h"

struct child;
struct event_base;

/* One row of the role table. Order is the order of draining. */
struct role {
	const char *name;
	int (*main)(struct child *c);
	enum conf_owner owner; /* of the keys for which it is replaced */
	int max;	       /* slots */
	int (*count)(const struct conf *conf);
};

struct supervisor_options {
	const char *path; /* of the configuration; NULL as for conf_read */
	bool require;	  /* give up if a dependency is not there, instead of waiting for it */
	const struct role *roles;
	int n_roles;
};

/* Where we stand with a reload. */
struct reload {
	bool wanted; /* a SIGHUP that was not served yet */
	bool active, changed;
	struct slot *current; /* being replaced; the next only when it is READY */
	struct complaint unchanged;
};

struct progress {
	bool terminal;
	int64_t next_us, last_us;
	uint64_t appended, committed; /* at last_us */
};

/* The stream is judged every queue.check_interval, by the limits then in force. */
struct alarms {
	int64_t last_us; /* when it was judged */
	bool looked;
	uint64_t last_depth;
	double growth; /* events per second, smoothed */
	struct complaint repeats[N_ALARMS];
};

enum { SUPERVISOR_MAX_SIGNALS = 6 };

struct supervisor {
	const struct supervisor_options *options;
	struct conf *conf;
	struct stats_page *page;
	int conf_fd, stats_fd, stats_read_fd, lock_fd, listen_fd;
	char dir[128], name[40]; /* of lock and socket */
	struct event_base *base;
	struct event *signals[SUPERVISOR_MAX_SIGNALS], *timer, *listener;
	struct children children;
	struct reload reload;
	struct progress progress;
	struct alarms alarms;
	int64_t started_us;
	char log_file[240]; /* "" if stderr is none */
	struct complaint refusal;
	char refused[240]; /* the last refusal, so that four children do not say it four times */
	bool stopping, told_ready, healthy;
	int exit_code;
};

/* Runs until told to stop; returns the exit code. Takes conf, read from options->path, over. */
int supervisor_run(const struct supervisor_options *options, struct conf *conf);
/* Drains and leaves with this code; a second call changes nothing but hurries if `now`. */
void supervisor_stop(struct supervisor *s, int exit_code, bool now);
/* After anything has happened: goes on with reload and stop, tells the service manager, sets the timer. */
void supervisor_settle(struct supervisor *s);

/* ---- reload.c ---- */

/* Reads and validates a file; NULL with one line per problem. */
struct conf *reload_load(const char *path, struct buf *problems);
/* The first configuration and every later one take this way: keeps fixed keys, seals the copy for the
 * children, sets levels and counts, marks whom to replace. Takes conf over. */
int reload_apply(struct supervisor *s, struct conf *conf, struct err *err) NODISCARD;
void reload_request(struct supervisor *s);
/* Does what can be done now: reads the file, replaces the next child. */
void reload_step(struct supervisor *s);

/* ---- spawn.c ---- */

/* fork and exec of this program as a child; fds become CHAN_FD, CONF_FD, STATS_FD, nothing else is
 * inherited but stdio. The pid, or -1. */
pid_t spawn(const char *role, int number, const int fds[3], struct err *err) NODISCARD;
/* Kills and reaps what is left below us: processes whose parents, our children, are gone. */
void spawn_sweep(void);

/* ---- runtime.c ---- */

/* Takes the lock of this instance in dir. 0; 1: another instance has it (err says which); -1. */
int runtime_lock(const char *dir, const char *name, int *ret_fd, struct err *err) NODISCARD;
/* The status socket: made anew, mode 0600. */
int runtime_listen(const char *dir, const char *name, int *ret_fd, struct err *err) NODISCARD;
void runtime_unlink(const char *dir, const char *name);
/* Accepts everybody who waits and hands the page out, for reading. */
void runtime_serve(int listen_fd, int page_fd);
/* For the other side: maps the page of the instance that runs there. 0; 1: none runs; -1. */
int runtime_connect(const char *dir, const char *name, const struct stats_page **ret_page,
	struct err *err) NODISCARD;
/* A sealed copy of the configuration; the descriptor, or -1. */
int runtime_seal_conf(const struct conf *conf, struct err *err) NODISCARD;
/* Makes the page; ret_read_fd is a descriptor that cannot write it. */
int runtime_page(struct stats_page **ret_page, int *ret_fd, int *ret_read_fd, struct err *err) NODISCARD;

/* ---- alarms.c ---- */

/* Judges the stream if it is time, leaves the levels in the page and says a change once; while something is
 * wrong, again at growing intervals. */
void alarms_tick(struct alarms *a, const struct conf *conf, struct stats_page *page);
/* When it is time next. */
int64_t alarms_due_us(const struct alarms *a, const struct conf *conf);

/* ---- progress.c ---- */

void progress_init(struct progress *p);
/* Says how far we are if it is time: a live line on a terminal, else a log line. */
void progress_tick(struct progress *p, const struct stats_page *page);
/* Wipes the live line. */
void progress_done(struct progress *p);

#endif
