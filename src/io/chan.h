/* SPDX-License-Identifier: MIT
 *
 * chan - messages between supervisor and child over one SOCK_SEQPACKET pair
 *
 * The kernel keeps message borders; every message is one fixed struct. End of file means that the other
 * side is gone. Owns: nothing (callers own the fds). Must not know: processes.
 */
#ifndef IO_CHAN_H
#define IO_CHAN_H

#include "base/err.h"

#include <stdint.h>

/* In a child: */
enum { CHAN_FD = 3, CONF_FD = 4, STATS_FD = 5 };

#define CHAN_MESSAGES(X)                                                                           \
	X(HELLO)   /* child -> supervisor: running, configuration parsed */                        \
	X(READY)   /* child -> supervisor: dependencies reached, doing its work */                 \
	X(BEAT)    /* child -> supervisor, at least once a second: value = enum child_state */     \
	X(REFUSED) /* child -> supervisor: a dependency's settings break the promise; text says */  \
	X(DRAIN)   /* supervisor -> child: finish what is begun, then exit 0 */                    \
	X(LOGLEVEL) /* supervisor -> child: value = enum log_level */                              \
	X(REOPEN)  /* supervisor -> child: text is the file that stderr is from now on */          \
	X(WORKERS) /* supervisor -> child: value = number of worker slots now configured */

enum chan_type {
#define X(name) CHAN_##name,
	CHAN_MESSAGES(X)
#undef X
	N_CHAN_TYPES
};

enum child_state { CHILD_STARTING, CHILD_WAITING, CHILD_IDLE, CHILD_BUSY, CHILD_DRAINING, N_CHILD_STATES };

/* How the supervisor sees a child's slot: the states of its machine, shown in stats_slot.state. */
#define SLOT_STATES(X)                                                                             \
	X(DOWN, "down")		/* not wanted, or not yet started */                               \
	X(STARTING, "starting")	/* runs, has not said READY */                                     \
	X(READY, "ready")                                                                          \
	X(DRAINING, "draining")	/* was asked to finish */                                          \
	X(BACKOFF, "backoff")	/* ended by itself, starts again soon */                           \
	X(BROKEN, "broken")	/* ended too often, starts again once a minute */

enum slot_state {
#define X(name, text) SLOT_##name,
	SLOT_STATES(X)
#undef X
	N_SLOT_STATES
};

/* How bad something is that the supervisor watches: stats_page.alarms. */
#define ALARM_LEVELS(X)                                                                            \
	X(NORMAL, "normal")                                                                        \
	X(WARNING, "warning")                                                                      \
	X(CRITICAL, "critical") /* counts as degraded */

enum alarm_level {
#define X(name, text) LEVEL_##name,
	ALARM_LEVELS(X)
#undef X
	N_ALARM_LEVELS
};

struct chan_msg {
	uint32_t type;	/* enum chan_type */
	uint32_t value;
	char text[240]; /* REFUSED, BEAT while WAITING: why; NUL-terminated */
};

enum chan_status { CHAN_OK = 0, CHAN_EMPTY = 1, CHAN_EOF = 2 };

/* Never block. chan_send gives up silently on a full channel (beats repeat) and on a dead peer. */
int chan_pair(int ret_fds[2], struct err *err) NODISCARD;
void chan_send(int fd, enum chan_type type, uint32_t value, const char *text);
enum chan_status chan_recv(int fd, struct chan_msg *ret_msg) NODISCARD;
const char *chan_type_name(enum chan_type type);
const char *child_state_name(enum child_state state);
const char *slot_state_name(enum slot_state state);
const char *alarm_level_name(enum alarm_level level);

#endif
