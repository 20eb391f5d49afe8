/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>

enum { ARGS_MAX = 2, ROWS_MAX = 64, BOTH = COMMAND_SERVE | COMMAND_GENERATE };

static int parse_u64(const char *text, uint64_t *ret_value, struct err *err)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		return err_set(err, "'%s' is no number", text);
	return 0;
}

static int set_flag(void *field, char **args, struct err *err)
{
	(void)args;
	(void)err;
	*(bool *)field = true;
	return 0;
}

static int set_text(void *field, char **args, struct err *err)
{
	(void)err;
	*(const char **)field = args[0];
	return 0;
}

static int set_u64(void *field, char **args, struct err *err)
{
	return parse_u64(args[0], field, err);
}

static int set_positive(void *field, char **args, struct err *err)
{
	if (parse_u64(args[0], field, err))
		return -1;
	return *(uint64_t *)field ? 0 : err_set(err, "must be above 0");
}

static int parse_percent(const char *text, double *ret_value, struct err *err)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= 0 && v <= 100))
		return err_set(err, "'%s' is no percentage (0 to 100)", text);
	*ret_value = v;
	return 0;
}

static int set_percent(void *field, char **args, struct err *err)
{
	return parse_percent(args[0], field, err);
}

static int set_odd(void *field, char **args, struct err *err)
{
	return parse_percent(args[0] ? args[0] : "1", field, err);
}

static int set_rate(void *field, char **args, struct err *err)
{
	struct options *o = field;
	char *end;

	if (strcmp(args[0], "max") == 0) {
		o->pace = PACE_MAX;
		return 0;
	}
	o->rate = strtod(args[0], &end);
	if (end == args[0] || *end || !(o->rate > 0 && o->rate <= 1e7))
		return err_set(err, "'%s' is neither frames per second (up to 10000000) nor 'max'",
			args[0]);
	o->pace = PACE_RATE;
	return 0;
}

static int set_past(void *field, char **args, struct err *err)
{
	struct options *o = field;

	o->past_given = true;
	if (strcmp(args[0], "all") == 0) {
		o->past = UINT64_MAX;
		return 0;
	}
	return parse_u64(args[0], &o->past, err);
}

static int set_tls(void *field, char **args, struct err *err)
{
	struct options *o = field;

	(void)err;
	o->tls_cert = args[0];
	o->tls_key = args[1];
	return 0;
}

/* Adds a fault at the seq of args[0]. */
static int add_fault(
	struct options *o, enum fault_kind kind, char **args, uint64_t n_bytes, struct err *err)
{
	struct fault fault = {.kind = kind, .n_bytes = n_bytes};

	return parse_u64(args[0], &fault.seq, err) ? -1 : fault_add(&o->faults, fault, err);
}

static int set_bad(void *field, char **args, struct err *err)
{
	return add_fault(field, FAULT_BAD, args, 0, err);
}

static int set_oversize(void *field, char **args, struct err *err)
{
	uint64_t n_bytes;

	if (parse_u64(args[1], &n_bytes, err))
		return -1;
	if (n_bytes > (uint64_t)1 << 30)
		return err_set(err, "more than 1 GiB");
	return add_fault(field, FAULT_OVERSIZE, args, n_bytes, err);
}

static int set_wrong_cid(void *field, char **args, struct err *err)
{
	return add_fault(field, FAULT_WRONG_CID, args, 0, err);
}

static int set_flip(void *field, char **args, struct err *err)
{
	uint64_t bit;

	return parse_u64(args[1], &bit, err) ? -1 : add_fault(field, FAULT_FLIP, args, bit, err);
}

static int set_cut_within(void *field, char **args, struct err *err)
{
	struct options *o = field;

	o->faults.cut_within = true;
	return parse_u64(args[0], &o->faults.cut_calm, err);
}

static int set_storm(void *field, char **args, struct err *err)
{
	struct options *o = field;

	if (parse_u64(args[0], &o->storm.seed, err) || parse_u64(args[1], &o->storm.every, err))
		return -1;
	return o->storm.every ? 0 : err_set(err, "EVERY must be above 0");
}

static int set_stall(void *field, char **args, struct err *err)
{
	struct options *o = field;

	o->faults.stall = true;
	return args[0] ? parse_u64(args[0], &o->faults.stall_after, err) : 0;
}

/* THE table of options. args: words are the arguments, "[=X]" an optional one. A set function gets
 * the field at that offset; those with offset 0 get the whole struct. */
static const struct row {
	const char *name, *args;
	unsigned commands;
	int (*set)(void *field, char **args, struct err *err);
	size_t offset;
	const char *help;
} rows[] = {
#define AT(field) offsetof(struct options, field)
	{"help", "", BOTH, set_flag, AT(help), "this text"},
	{"listen", "HOST:PORT", BOTH, set_text, AT(listen),
		"default 127.0.0.1:0 (a free port, printed)"},
	{"tls", "CERT KEY", BOTH, set_tls, 0, "PEM files: serve wss instead of ws"},
	{"rate", "N|max", BOTH, set_rate, 0,
		"frames that become due a second, beginning with the first subscriber; "
		"max: as they are taken (default: generate 500, serve: all are past)"},
	{"past", "N|all", BOTH, set_past, 0,
		"frames that are past at the start (default 0; serve without --rate: all)"},
	{"inclusive", "", BOTH, set_flag, AT(inclusive), "cursor=N begins at seq >= N, not > N"},
	{"silent", "", BOTH, set_flag, AT(silent),
		"as the public relay: announce neither OutdatedCursor nor FutureCursor (a "
		"cursor ahead is served live)"},
	{"ping", "SECONDS", BOTH, set_positive, AT(ping_s),
		"ping a connection idle that long (default 30)"},
	{"fragment", "BYTES", BOTH, set_u64, AT(fragment_bytes),
		"split messages into WebSocket fragments"},

	{"bad-frame", "SEQ", BOTH, set_bad, 0, "send a message of garbage before frame SEQ"},
	{"oversize-frame", "SEQ BYTES", BOTH, set_oversize, 0,
		"send a message of BYTES zeros before frame SEQ"},
	{"wrong-cid", "SEQ", BOTH, set_wrong_cid, 0, "flip a bit of the record block in frame SEQ"},
	{"flip-bit", "SEQ BIT", BOTH, set_flip, 0, "flip that bit of frame SEQ"},
	{"bad-times", "N", BOTH, set_positive, AT(faults.times),
		"do each of these four N times, then no more"},
	{"bad-instead", "", BOTH, set_flag, AT(faults.instead),
		"garbage and oversize replace frame SEQ"},
	{"cut-after", "N", BOTH, set_positive, AT(faults.cut_after),
		"after N messages of each connection close TCP without a close frame"},
	{"cut-within", "N", BOTH, set_cut_within, 0,
		"after N messages of each connection close TCP inside the next: before its first byte, at the "
		"next connection before its second, and so on"},
	{"drip", "BYTES", BOTH, set_positive, AT(drip_bytes),
		"send so many bytes a second, once the upgrade is answered"},
	{"stall", "[=N]", BOTH, set_stall, 0,
		"after N (0) messages of each connection stay open and send nothing more, "
		"neither pings nor pongs"},
	{"storm", "SEED EVERY", BOTH, set_storm, 0,
		"every kind of wrong in turn: about every EVERY frames, and in a third of the answers to an "
		"upgrade; at the end a line says how often each was done"},

	{"seed", "S", COMMAND_GENERATE, set_u64, AT(seed), "same seed, same network (default 1)"},
	{"accounts", "N", COMMAND_GENERATE, set_positive, AT(n_accounts),
		"accounts alive at a time (default 1000)"},
	{"max-records", "N", COMMAND_GENERATE, set_positive, AT(max_records),
		"an account that has so many falls silent, a new one takes its place "
		"(default 300)"},
	{"frames", "N", COMMAND_GENERATE, set_u64, AT(n_frames),
		"stop after N frames (default: never)"},
	{"late", "PCT", COMMAND_GENERATE, set_percent, AT(late),
		"references that precede their record (default 4)"},
	{"late-span", "N", COMMAND_GENERATE, set_positive, AT(late_span),
		"by 1 to N frames (default 2000)"},
	{"never", "PCT", COMMAND_GENERATE, set_percent, AT(never),
		"references to records that never come (default 8)"},
	{"hot", "PCT", COMMAND_GENERATE, set_percent, AT(hot),
		"references to one and the same post (default 0)"},
	{"odd", "[=PCT]", COMMAND_GENERATE, set_odd, AT(odd),
		"share of odd frames (1): U+0000, 60-level nesting, 512-character rkeys, "
		"handle URIs, unknown collections and frame types, many operations, "
		"deletes and updates of unseen records, re-created rkeys, ..."},
	{"seq0", "SEQ", COMMAND_GENERATE, set_u64, AT(seq0),
		"the seq before the first frame (default 0)"},
	{"gaps", "PCT", COMMAND_GENERATE, set_percent, AT(gaps),
		"frames with unused seqs before them (default 0)"},
	{"start", "TIME", COMMAND_GENERATE, set_text, AT(start),
		"clock of the network: 'now' (the wall's; default without --out) or "
		"YYYY-MM-DDTHH:MM:SSZ, then --eps frames a second"},
	{"eps", "N", COMMAND_GENERATE, set_positive, AT(eps),
		"frames per second of that clock (default 500)"},
	{"history", "N", COMMAND_GENERATE, set_positive, AT(n_history),
		"frames kept for cursors (default 500000)"},
	{"history-bytes", "N", COMMAND_GENERATE, set_positive, AT(history_bytes),
		"and bytes (default 256 MiB)"},
	{"unsigned", "", COMMAND_GENERATE, set_flag, AT(is_unsigned),
		"zero signatures, no MST nodes but the root: cheap, not verifiable"},
	{"out", "PREFIX", COMMAND_GENERATE, set_text, AT(out),
		"no server: write PREFIX.frames and the state files"},
	{"state", "PREFIX", COMMAND_GENERATE, set_text, AT(state),
		"write what a consumer must end up with, after the last frame or at "
		"SIGTERM: PREFIX.records.jsonl, .accounts.jsonl, .diddocs.json"},
#undef AT
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };
_Static_assert(sizeof rows / sizeof rows[0] < ROWS_MAX, "long_options has room for every row");

static const char usage_text[] =
	"standpipe-relay serve FILE.frames [options]\n"
	"standpipe-relay generate [options]\n"
	"\n"
	"A relay for tests and benchmarks, for any number of clients, at\n"
	"ws://HOST:PORT/xrpc/com.atproto.sync.subscribeRepos?cursor=N\n"
	"It prints `listening ws://HOST:PORT`; SIGTERM ends it with exit code 0.\n"
	"\n"
	"  standpipe-relay serve day.frames\n"
	"        a recording, all of it past: cursor=0 gets it\n"
	"  standpipe-relay serve day.frames --rate 500\n"
	"        the same as a live stream\n"
	"  standpipe-relay generate\n"
	"        an endless network, 500 signed frames a second\n"
	"  standpipe-relay generate --frames 50000 --rate max --state /tmp/want\n"
	"        a network that ends, and the state it must lead to\n"
	"  standpipe-relay generate --frames 1000000 --out big\n"
	"        big.frames and that state, the same every time; no server\n"
	"  standpipe-relay serve big.frames --rate max --bad-frame 777 --bad-times 3\n"
	"        as fast as it is taken, with a fault\n"
	"\n"
	"cursor: none = live; 0 = oldest; N = what follows seq N; too old = #info\n"
	"OutdatedCursor, then the oldest; ahead = error FutureCursor, close 1008;\n"
	"no integer = error InternalServerError, close 1008. A client that falls out\n"
	"of the kept window gets error ConsumerTooSlow.\n";

void options_help(FILE *out)
{
	fputs(usage_text, out);
	for (unsigned commands = BOTH; commands;
		commands = commands == BOTH ? COMMAND_GENERATE : 0) {
		fputs(commands == BOTH ? "\nBoth commands:\n" : "\nOnly generate:\n", out);
		for (size_t i = 0; i < N_ROWS; i++)
			if (rows[i].commands == commands)
				fprintf(out, "  --%s%s%s\n        %s\n", rows[i].name,
					rows[i].args[0] && rows[i].args[0] != '[' ? " " : "",
					rows[i].args, rows[i].help);
	}
}

static int n_args_of(const struct row *row)
{
	return row->args[0] == 0 || row->args[0] == '[' ? 0 : strchr(row->args, ' ') ? 2 : 1;
}

/* Applies one option; getopt knows at most one argument, so a second one is taken here. */
static int apply(const struct row *row, int argc, char **argv, struct options *o, struct err *err)
{
	char *args[ARGS_MAX] = {optarg};

	if (!(row->commands & o->command) && !o->help)
		return err_set(err, "--%s: only for generate", row->name);
	if (n_args_of(row) == 2) {
		if (optind >= argc)
			return err_set(err, "--%s needs %s", row->name, row->args);
		args[1] = argv[optind++];
	}
	return row->set((char *)o + row->offset, args, err) ? err_wrap(err, "--%s", row->name) : 0;
}

/* What the name of a command needs to be set before the options. */
static int parse_command(int *argc, char ***argv, struct options *o, struct err *err)
{
	const char *name = *argc > 1 ? (*argv)[1] : "";

	if (strcmp(name, "serve") == 0)
		o->command = COMMAND_SERVE;
	else if (strcmp(name, "generate") == 0)
		o->command = COMMAND_GENERATE;
	else if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0)
		o->help = true;
	else
		return err_set(err, "say 'serve FILE' or 'generate' (try --help)");
	--*argc;
	++*argv;
	return 0;
}

static int check(struct options *o, int argc, char **argv, struct err *err)
{
	if (o->help)
		return 0;
	if (o->command == COMMAND_SERVE && argc - optind == 1)
		o->file = argv[optind++];
	else if (o->command == COMMAND_SERVE)
		return err_set(err, "serve needs exactly one FILE.frames");
	if (optind < argc)
		return err_set(err, "'%s' is too much", argv[optind]);
	if (o->late + o->never > 100)
		return err_set(err, "--late and --never are above 100 %% together");
	if (o->out && !o->n_frames)
		return err_set(err, "--out needs --frames");
	return 0;
}

static const struct options defaults = {
	.listen = "127.0.0.1:0",
	.ping_s = 30,
	.seed = 1,
	.n_accounts = 1000,
	.max_records = 300,
	.late = 4,
	.never = 8,
	.late_span = 2000,
	.n_history = 500000,
	.history_bytes = (uint64_t)256 << 20,
	.eps = 500,
};

int options_parse(int argc, char **argv, struct options *ret_options, struct err *err)
{
	struct option long_options[ROWS_MAX] = {{0}};
	int row;

	*ret_options = defaults;
	if (parse_command(&argc, &argv, ret_options, err))
		return -1;
	for (size_t i = 0; i < N_ROWS; i++)
		long_options[i] = (struct option){.name = rows[i].name,
			.val = (int)i,
			.has_arg = rows[i].args[0] == '[' ? optional_argument
				   : n_args_of(&rows[i])  ? required_argument
							  : no_argument};
	opterr = 0;
	while ((row = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (row == ':')
			return err_set(err, "%s needs an argument", argv[optind - 1]);
		if (row == '?')
			return err_set(err, "%s: no such option (try --help)", argv[optind - 1]);
		if (apply(&rows[row], argc, argv, ret_options, err))
			return -1;
	}
	return check(ret_options, argc, argv, err);
}
