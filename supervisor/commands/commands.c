/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/commands.h"

#include "supervisor/supervisor.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

const struct command commands[] = {
	{ "run", "[-c FILE] [--require]", "run in the foreground: reader, workers, keeper, monitor",
		"Starts the reader, the workers, the keeper and the monitor and watches over them. Without --require it\n"
		"waits for Redis, PostgreSQL and the source as long as it takes; with it, it gives up (exit\n"
		"69) if one of them is not there 10 s after the start.\n\n"
		"Signals: TERM, INT drain and end (a second one: at once), HUP reads the configuration again,\n"
		"USR1 opens the log file (where stderr goes to one) again under its name, for log rotation,\n"
		"USR2 writes the state of every child to the log.\n\n"
		"  standpipe run -c ./standpipe.conf\n"
		"  kill -HUP \"$(cat \"$XDG_RUNTIME_DIR\"/standpipe/standpipe.pid)\"\n", command_run },
	{ "check", "[-c FILE]", "validate the configuration",
		"Names every problem as FILE:LINE: section.key: what is wrong; accepted: what is right.\n"
		"Exit 0 if there is none, else 78.\n\n"
		"  standpipe check -c ./standpipe.conf && systemctl reload standpipe\n", command_check },
	{ "config", "[-c FILE] [--sql NSID|all]", "print the effective configuration, secrets masked",
		"Every key with its meaning, range and value in force; what it prints is itself a valid file.\n"
		"--sql prints the statements that write a collection instead; they follow from its row in\n"
		"src/domain/collection.c.\n\n"
		"  standpipe config > standpipe.conf      a file to start from\n"
		"  standpipe config --sql app.bsky.feed.like\n", command_config },
	{ "migrate", "[--conninfo CONNINFO] [--installation-key HEX] [-c FILE]", "create or upgrade the schema in PostgreSQL",
		"Applies the migrations that the database does not have yet, each in one transaction, under a\n"
		"lock. Safe to repeat. --conninfo connects as another role, which then owns the schema; the\n"
		"configured one only gets the rights the workers need.\n\n"
		"  standpipe migrate -c ./standpipe.conf\n", command_migrate },
	{ "status", "[--json] [-c FILE]", "one screen: stages, lag, rates, pending, children",
		"Asks the running supervisor of this configuration; rates and latencies (p50, p99) are those of one\n"
		"second. `behind:` says why when it is. Exit 0 healthy, 1 degraded, 69 not running.\n\n"
		"  standpipe status\n"
		"  standpipe status --json | jq .postgres.lag_seconds\n", command_status },
	{ "top", "[-c FILE]", "the same, live",
		"The screen of `status`, drawn once a second until q or Ctrl-C. Missing parents, dead letters and gaps\n"
		"are counted every ten seconds. NO_COLOR is respected; without a terminal it shows one screen.\n\n"
		"  standpipe top\n", command_top },
	{ "pending", "list|top|retry|drop [URI|--all] [--state STATE] [--limit N] [--json] [-c FILE]",
		"missing parents that records wait for",
		"list and top take --state waiting|expired|dead_lettered, --limit and --json; retry takes a\n"
		"URI or --all, drop a URI.\n\n"
		"  standpipe pending top --limit 20       parents that most records wait for\n"
		"  standpipe pending retry --all          look for all of them now\n", command_pending },
	{ "dead-letter", "list|show|retry|retry-all|drop [ID|--class CLASS|--all] [--limit N] [--json] [--raw] [-c FILE]",
		"what could not be stored, with its bytes",
		"An ID is a place (EPOCH-SEQ, or EPOCH-SEQ.OP for one operation of a commit) or the first digits\n"
		"of the id that list shows. Classes: data (PostgreSQL refused the event), bad (a malformed frame),\n"
		"refused and invalid_record (one operation), missing_parent, crash (decoding it ended a worker\n"
		"twice), foreign (an entry of the stream that standpipe did not write). list takes --class,\n"
		"--limit and --json; show an ID, with --raw it writes the bytes alone; retry and drop an ID or\n"
		"--class, retry also --all; retry-all is all, or all of --class. retry may run beside standpipe. Exit 1 if there is no such letter or one is still refused.\n\n"
		"  standpipe dead-letter list --class data\n"
		"  standpipe dead-letter show 1-4711\n"
		"  standpipe dead-letter retry --all      after its cause is gone\n", command_dead_letter },
	{ "gaps", "[--limit N] [--json] [-c FILE]", "ranges of the source that may be missing",
		"Events after the first place and before the second may never have come. The size is known only\n"
		"where both are of one epoch. What the source still has comes back with `standpipe rewind`.\n\n"
		"  standpipe gaps --json | jq 'map(.size // 0) | add'\n", command_gaps },
	{ "stream", "info|tail|replay [--count N] [--from EPOCH-SEQ|oldest] [-c FILE]",
		"what is in Redis, decoded, or delivered once more",
		"info: head, watermark, depth, consumers. tail: the events of the newest entries, one line each,\n"
		"then those that come, until Ctrl-C; with --count N (up to 1000) those of the newest N entries,\n"
		"then it ends. Both only read: nothing is delivered or acknowledged.\n"
		"replay gives the workers once more what came after --from, as far as the stream still has it;\n"
		"standpipe may run meanwhile, and what is stored already does not change.\n\n"
		"  standpipe stream tail | grep ' identity '\n"
		"  standpipe stream replay --from 1-4711\n", command_stream },
	{ "rewind", "oldest|SEQ [-c FILE]", "while stopped: read the source again from there",
		"Opens a new epoch: the next start reads the same host from its oldest event, or from SEQ on.\n"
		"Events that are already stored change nothing.\n\n"
		"  standpipe rewind oldest -c ./standpipe.conf\n", command_rewind },
	{ "fsck", "[--cids] [--json] [-c FILE]", "prove that the database holds together",
		"Needs PostgreSQL only and changes nothing; standpipe may run meanwhile. Each line is one check:\n"
		"ok, or how many rows are wrong, the first of them, and what to do about it. --cids also rebuilds\n"
		"every record and compares its CID (minutes for a large database). Exit 0 if all is well, 1 if\n"
		"anything is not, 69 without PostgreSQL.\n\n"
		"  standpipe fsck\n"
		"  standpipe fsck --cids --json | jq '.checks[] | select(.rows > 0)'\n", command_fsck },
};
const int n_commands = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
	for (int i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int command_usage(const char *name)
{
	const struct command *c = command_find(name);

	fprintf(stderr, "usage: standpipe %s %s\n", name, c ? c->arguments : "");
	return EXIT_USAGE_ERROR;
}

int command_options(int argc, char **argv, const char **ret_path)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' }, { 0 } };
	int o;

	*ret_path = NULL;
	optind = 0;
	while ((o = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
		if (o != 'c')
			return command_usage(argv[0]);
		*ret_path = optarg;
	}
	return optind < argc ? command_usage(argv[0]) : EXIT_DONE;
}

int command_conf(const char *path, struct conf **ret_conf)
{
	struct buf problems = BUF_INIT;

	*ret_conf = reload_load(path, &problems);
	if (!*ret_conf)
		fputs(buf_str(&problems), stderr);
	buf_done(&problems);
	return *ret_conf ? EXIT_DONE : EXIT_CONFIG;
}
