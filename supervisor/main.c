/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"
#include "supervisor/libraries.h"
#include "supervisor/supervisor.h"
#include "workers/child.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int one(const struct conf *conf)
{
	(void)conf;
	return 1;
}

static int n_workers(const struct conf *conf)
{
	return (int)conf->workers.count;
}

static int n_monitors(const struct conf *conf)
{
	return conf->http.listen[0] != 0;
}

static int n_resolvers(const struct conf *conf)
{
	return strcmp(conf->source.verify, "full") == 0;
}

/* THE table of roles, in the order in which they drain. */
static const struct role roles[] = {
	{ "reader", reader_main, OWNER_READER, 1, one },
	{ "worker", worker_main, OWNER_WORKER, 64, n_workers },
	{ "keeper", keeper_main, OWNER_KEEPER, 1, one },
	{ "resolver", resolver_main, OWNER_RESOLVER, 1, n_resolvers },
	{ "monitor", monitor_main, OWNER_MONITOR, 1, n_monitors },
};
enum { N_ROLES = sizeof roles / sizeof roles[0] };

static const char examples[] =
	"First steps:\n"
	"  standpipe config > standpipe.conf        every key with its meaning, range and default\n"
	"  standpipe check -c standpipe.conf        is it right?\n"
	"  standpipe migrate -c standpipe.conf      make the tables\n"
	"  standpipe run -c standpipe.conf          start (Ctrl-C drains and ends)\n"
	"  standpipe status -c standpipe.conf       how far is it?\n"
	"\n"
	"Without -c, the file is $STANDPIPE_CONFIG or /etc/standpipe/standpipe.conf, else all defaults.\n"
	"Without a command: run. `standpipe COMMAND --help` tells more.\n"
	"\n"
	"Exit codes: 0 done; 1 a check failed; 64 usage; 69 a dependency is not there; 70 internal;\n"
	"75 another instance runs; 78 configuration.\n";

static void print_help(FILE *f)
{
	fputs("standpipe: the Bluesky firehose through Redis Streams into PostgreSQL\n\nCommands:\n",
		f);
	for (int i = 0; i < n_commands; i++)
		fprintf(f, "  %-11s %s\n", commands[i].name, commands[i].help);
	fprintf(f, "\n%s", examples);
}

static int print_command_help(const struct command *c)
{
	printf("usage: standpipe %s %s\n\n%s.\n\n%s", c->name, c->arguments, c->help, c->details);
	return EXIT_DONE;
}

static int print_version(void)
{
	printf("standpipe %s\nbuilt with %s\n", STANDPIPE_VERSION, STANDPIPE_LIBRARIES);
	return EXIT_DONE;
}

int command_run(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "require", no_argument, NULL, 'r' }, { 0 } };
	struct supervisor_options so = { .roles = roles, .n_roles = N_ROLES };
	struct conf *conf;
	int o, code;

	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o == 'c')
			so.path = optarg;
		else if (o == 'r')
			so.require = true;
		else
			return command_usage("run");
	}
	if (optind < argc)
		return command_usage("run");
	code = command_conf(so.path, &conf);
	return code == EXIT_DONE ? supervisor_run(&so, conf) : code;
}

/* `--role ROLE --slot N`: how the supervisor starts a child. */
static int run_child(int argc, char **argv)
{
	const char *name = argc == 5 ? argv[2] : "";
	char *end = NULL;
	long slot = argc == 5 && strcmp(argv[3], "--slot") == 0 ? strtol(argv[4], &end, 10) : -1;
	struct child child;
	struct err err;
	int code;

	for (int i = 0; i < N_ROLES; i++) {
		if (strcmp(roles[i].name, name) != 0 || slot < 0 || slot >= roles[i].max || *end)
			continue;
		if (child_init(&child, name, (int)slot, &err) < 0) {
			fprintf(stderr, "standpipe --role %s: %s\n", name, err.text);
			code = EXIT_INTERNAL;
		} else {
			code = roles[i].main(&child);
		}
		child_done(&child);
		return code;
	}
	fputs("usage: only the supervisor starts children (standpipe run)\n", stderr);
	return EXIT_USAGE_ERROR;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* Who starts us with a closed stdio must not get our first sockets there: log lines would go into them. */
static void open_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : "run";
	const struct command *c = command_find(first);

	open_stdio();
	if (strcmp(first, "--role") == 0)
		return run_child(argc, argv);
	if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0)
		return print_version();
	if (is_help(first) || strcmp(first, "help") == 0) {
		print_help(stdout);
		return EXIT_DONE;
	}
	/* options only: run is the default */
	if (argc == 1 || (!c && first[0] == '-'))
		return command_run(argc, argv);
	if (!c) {
		fprintf(stderr, "standpipe: there is no command \"%s\"\n\n", first);
		print_help(stderr);
		return EXIT_USAGE_ERROR;
	}
	for (int i = 2; i < argc; i++)
		if (is_help(argv[i]))
			return print_command_help(c);
	return c->run(argc - 1, argv + 1);
}
