/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The whole of a small file of /proc, NUL-terminated; empty if it is gone. */
static size_t slurp(const char *path, char *ret, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(ret, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	ret[n] = 0;
	return n;
}

/* The n-th field (1 is the state) behind the command name. */
static uint64_t stat_field(const char *stat, int n)
{
	const char *p = strrchr(stat, ')');

	for (p = p ? p + 2 : ""; *p && n > 1; n--) {
		p = strchr(p, ' ');
		p = p ? p + 1 : "";
	}
	return strtoull(p, NULL, 10);
}

static struct cpu_time cpu_of(pid_t pid, bool with_ended_children)
{
	char path[64], text[1024];
	uint64_t user, kernel, tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	slurp(path, text, sizeof text);
	user = stat_field(text, 12);
	kernel = stat_field(text, 13);
	if (with_ended_children) {
		user += stat_field(text, 14);
		kernel += stat_field(text, 15);
	}
	return (struct cpu_time){ (user + kernel) * tick_us, kernel * tick_us };
}

struct cpu_time process_cpu(pid_t pid)
{
	return cpu_of(pid, false);
}

void cpu_add(struct cpu_time *sum, struct cpu_time more)
{
	sum->us += more.us;
	sum->kernel_us += more.kernel_us;
}

struct cpu_time cpu_since(struct cpu_time now, struct cpu_time before)
{
	return (struct cpu_time){ now.us - before.us, now.kernel_us - before.kernel_us };
}

void cpu_print(const char *name, struct cpu_time spent, uint64_t n_events)
{
	printf("cpu %s %.2f %.2f\n", name, (double)(int64_t)spent.us / (double)n_events,
		(double)(int64_t)spent.kernel_us / (double)n_events);
}

static uint64_t status_kb(const char *status, const char *field)
{
	const char *p = strstr(status, field);

	return p ? strtoull(p + strlen(field), NULL, 10) : 0;
}

static struct usage *usage_of(struct usages *u, const char *name)
{
	for (int i = 0; i < u->n; i++)
		if (strcmp(u->of[i].name, name) == 0)
			return &u->of[i];
	if (u->n == PROCESS_NAMES)
		abort();
	snprintf(u->of[u->n].name, sizeof u->of[u->n].name, "%s", name);
	return &u->of[u->n++];
}

static void add(struct usages *u, const char *name, pid_t pid, bool with_ended_children)
{
	struct usage *of = usage_of(u, name);
	char path[64], text[4096];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	slurp(path, text, sizeof text);
	cpu_add(&of->cpu, cpu_of(pid, with_ended_children));
	of->rss_kb += status_kb(text, "VmRSS:");
	of->peak_kb += status_kb(text, "VmHWM:");
	of->n++;
}

/* What a child of one of the roots is called. */
static void name_child(char *ret, size_t size, pid_t pid)
{
	char path[64], text[1024];
	size_t n;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	n = slurp(path, text, sizeof text);
	snprintf(ret, size, "%s", strncmp(text, "postgres: standpipe ", 20) == 0 ? "postgres-backends" : "postgres-others");
	for (size_t i = 0; i + 7 < n; i += strlen(text + i) + 1)
		if (strcmp(text + i, "--role") == 0)
			snprintf(ret, size, "%s", text + i + 7);
		else if (strncmp(text + i, "--role=", 7) == 0)
			snprintf(ret, size, "%s", text + i + 7);
}

static void add_children(struct usages *u, pid_t parent)
{
	char path[64], text[4096], name[64], *p = text, *end;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
	slurp(path, text, sizeof text);
	for (long pid = strtol(p, &end, 10); end != p; p = end, pid = strtol(p, &end, 10)) {
		name_child(name, sizeof name, (pid_t)pid);
		add(u, name, (pid_t)pid, false);
	}
}

void usages_take(struct usages *u, const struct process_roots *roots)
{
	*u = (struct usages){ 0 };
	for (int i = 0; i < roots->n_named; i++) {
		const char *equals = strchr(roots->named[i], '=');
		char name[32];

		snprintf(name, sizeof name, "%.*s", (int)(equals - roots->named[i]), roots->named[i]);
		add(u, name, atoi(equals + 1), false);
	}
	if (roots->postmaster) {
		add(u, "postgres-others", roots->postmaster, true);
		add_children(u, roots->postmaster);
	}
	if (roots->supervisor) {
		add(u, "supervisor", roots->supervisor, true);
		add_children(u, roots->supervisor);
	}
}

void usages_print(const struct usages *now, const struct usages *before, uint64_t n_events)
{
	for (int i = 0; i < now->n; i++) {
		const struct usage *u = &now->of[i];
		struct cpu_time was = { 0 };

		for (int j = 0; before && j < before->n; j++)
			if (strcmp(before->of[j].name, u->name) == 0)
				was = before->of[j].cpu;
		if (before && n_events)
			cpu_print(u->name, cpu_since(u->cpu, was), n_events);
		printf("rss %s %llu %llu\n", u->name, (unsigned long long)u->rss_kb, (unsigned long long)u->peak_kb);
	}
}

int tool_rss(int argc, char **argv, struct err *err)
{
	struct process_roots roots;
	struct usages now;

	if (argc < 2)
		return err_set(err, "too few arguments");
	roots = (struct process_roots){ atoi(argv[0]), atoi(argv[1]), argv + 2, argc - 2 };
	usages_take(&now, &roots);
	usages_print(&now, NULL, 0);
	return 0;
}
