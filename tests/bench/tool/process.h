/* SPDX-License-Identifier: MIT
 *
 * process - CPU time and memory of everything that takes part, from /proc, by name
 *
 * PostgreSQL's and the supervisor's children are found, not named: "postgres-backends" are sessions,
 * "postgres-others" the postmaster and its helpers; our children go by their role. A child that ended
 * counts through the time its parent collected.
 */
#ifndef TESTS_BENCH_PROCESS_H
#define TESTS_BENCH_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_NAMES = 24 };

struct usage {
	char name[32];
	uint64_t cpu_us;
	uint64_t rss_kb, peak_kb;
	int n;
};

struct usages {
	struct usage of[PROCESS_NAMES];
	int n;
};

struct process_roots {
	pid_t postmaster, supervisor; /* 0: none */
	char **named;		      /* "name=pid" */
	int n_named;
};

void usages_take(struct usages *u, const struct process_roots *roots);
/* One line for each name: "cpu NAME US-PER-EVENT" and "rss NAME NOW-KB PEAK-KB". before may be NULL. */
void usages_print(const struct usages *now, const struct usages *before, uint64_t n_events);
/* utime + stime of one process, in microseconds. */
uint64_t process_cpu_us(pid_t pid);

#endif
