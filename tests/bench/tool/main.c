/* SPDX-License-Identifier: MIT */
#include "tool.h"

#include <signal.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
	const char *arguments, *help;
} commands[] = {
	{ "ceiling", tool_ceiling, "FILE.frames CONNINFO BATCH-EVENTS N-CONNECTIONS",
		"builds the parameters of every batch of the recording beforehand, then only executes them" },
	{ "measure", tool_measure,
		"SOCKET STREAM GROUP CONDITION SEQ SECONDS POSTMASTER SUPERVISOR GO [NAME=PID...]",
		"CPU, memory and time of all processes from GO until CONDITION holds for SEQ" },
	{ "packs", tool_packs, "SOCKET STREAM FILE.frames|- [N-FRAMES]",
		"opens every entry; with a recording compares each event's place, else prints seq and receipt" },
	{ "steps", tool_steps, "read|decode|pack|unpack FILE.frames", "the work on each event, for a profiler" },
	{ "rss", tool_rss, "POSTMASTER SUPERVISOR [NAME=PID...]", "resident memory of every process now" },
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int usage(void)
{
	for (int i = 0; i < N_COMMANDS; i++)
		fprintf(stderr, "bench-tool %s %s\n\t%s\n", commands[i].name, commands[i].arguments, commands[i].help);
	return 64;
}

int main(int argc, char **argv)
{
	struct err err = { "" };

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; argc > 1 && i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (commands[i].run(argc - 2, argv + 2, &err) == 0)
			return 0;
		fprintf(stderr, "bench-tool %s: %s\n", argv[1], err.text);
		return 1;
	}
	return usage();
}
