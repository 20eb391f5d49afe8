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

struct cpu_time {
	uint64_t us, kernel_us; /* the second is part of the first */
};

struct usage {
	char name[32];
	struct cpu_time cpu;
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
/* Lines for each name: "cpu NAME US-PER-EVENT OF-IT-IN-THE-KERNEL" and "rss NAME NOW-KB PEAK-KB". before may be NULL. */
void usages_print(const struct usages *now, const struct usages *before, uint64_t n_events);
/* What one process has spent so far, in ticks of 10 ms. */
struct cpu_time process_cpu(pid_t pid);
void cpu_add(struct cpu_time *sum, struct cpu_time more);
struct cpu_time cpu_since(struct cpu_time now, struct cpu_time before);
/* "cpu NAME ..." as above. */
void cpu_print(const char *name, struct cpu_time spent, uint64_t n_events);

#endif
