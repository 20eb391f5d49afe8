/* SPDX-License-Identifier: MIT
 *
 * log - `level event key=value ...` lines on stderr
 *
 * An error asks for a person and says the way out; a warning says we go on and how; notice is a change
 * of state; info a periodic summary; debug per batch. Only processes log; libraries return a struct err.
 * Owns: the level, the role name, the style of the prefix and the way to stderr (the one mutable global of this
 * module). Invariant: one line per call, control bytes escaped; a full, closed or broken stderr drops lines, counted,
 * and never stops the process.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG, N_LOG_LEVELS };

/* role: a name of at most 31 bytes shown as `role=`; copied. If $JOURNAL_STREAM says that stderr is the
 * journal, lines carry "<N>" priorities instead of timestamps. */
void log_init(const char *role, enum log_level level);
/* The file that stderr is, "" if it is none: what log_reopen opens again. */
const char *log_file(void);
/* Opens the file anew as stderr, after somebody has renamed it. -1: the old one stays. */
int log_reopen(const char *path, struct err *err) NODISCARD;
/* Writes it as it is, or drops it like a line. */
void log_raw(const char *text, size_t n);
void log_set_level(enum log_level level);
/* False if name is no level. */
bool log_level_of(const char *name, enum log_level *ret_level);
const char *log_level_name(enum log_level level);
/* Lines dropped because stderr would have blocked. */
uint64_t log_dropped(void);

/* event is "module.verb_past"; fmt makes the key=value part (may be ""). */
void log_write(enum log_level level, const char *event, const char *fmt, ...) PRINTF(3, 4);

/* Text of others as the value of a key: in double quotes, its own quotes and backslashes escaped, cut where it is too long.
 * Lives as long as the block that it is written in. */
struct log_quoted {
	char text[1040];
};
const char *log_quote(struct log_quoted *ret, struct slice text);
#define LOG_QUOTED_SLICE(slice) log_quote(&(struct log_quoted){ 0 }, slice)
#define LOG_QUOTED(text) LOG_QUOTED_SLICE(slice_str(text))

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Something that repeats is said in one of two ways, and its line ends with `repeated="5231 more in 60 s"`. */

/* Of what may come with every event: the first LOG_OFTEN_LINES of a minute are lines of their own; the others are one
 * line when the minute is over. event is a string constant. */
#define log_often(level, event, ...)                           \
	do {                                                   \
		if (log_often_due(level, event))               \
			log_write(level, event, __VA_ARGS__);  \
	} while (0)
enum { LOG_OFTEN_LINES = 10 };
bool log_often_due(enum log_level level, const char *event);
/* To be called once a second or so: says what of them is over; `all`: whatever was not said. */
void log_sum_up(bool all);

/* A complaint as long as its cause lasts: said now, then at intervals doubling from 1 s to 60 s; a minute of quiet
 * begins anew. Zero-initialise; one per place. */
struct complaint {
	int64_t said_us, interval_us;
	uint64_t silent;
	char repeated[64]; /* to be put behind the line: "", or a space and how often it was not said since when */
};

/* True if it should be said now. */
bool complaint_due(struct complaint *c);
/* The cause is over: the next complaint is said at once. */
void complaint_clear(struct complaint *c);

#endif
