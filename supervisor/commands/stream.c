/* SPDX-License-Identifier: MIT
 *
 * stream - what is in Redis: marks and depth, or the events themselves; and their delivery once more
 *
 * info and tail only read, and read as no consumer: nothing is delivered, acknowledged or kept from being trimmed.
 */
#include "supervisor/commands/commands.h"

#include "base/clock.h"
#include "codec/pack.h"
#include "domain/event.h"
#include "io/stream.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ENTRIES = 10, READ_ENTRIES = 100, MAX_COUNT = 1000, LOOK_EVERY_US = 200000 };

static int fail(enum stream_status status, const struct err *err)
{
	fprintf(stderr, "standpipe stream: %s\n", err->text);
	return status == STREAM_E_DOWN ? EXIT_DEPENDENCY : EXIT_CHECK;
}

/* ---- info ---- */

struct info {
	struct stream_state state;
	struct stream_depth depth;
	struct stream_consumer *consumers;
	int n_consumers;
	uint64_t n_entries;
};

static enum stream_status gather(struct stream *s, struct info *ret, struct err *err)
{
	enum stream_status status = stream_get_state(s, &ret->state, err);

	if (status == STREAM_OK)
		status = stream_get_depth(s, &ret->depth, err);
	if (status == STREAM_OK)
		status = stream_length(s, &ret->n_entries, err);
	if (status == STREAM_OK)
		status = stream_consumers(s, &ret->consumers, &ret->n_consumers, err);
	return status;
}

static void print_consumers(const struct info *info)
{
	int64_t pending = 0;

	for (int i = 0; i < info->n_consumers; i++)
		pending += info->consumers[i].pending;
	printf("pending       %" PRId64 " entries delivered and not acknowledged\n", pending);
	for (int i = 0; i < info->n_consumers; i++)
		printf("  %-20s pending %" PRId64 ", idle %.1f s\n", info->consumers[i].name,
			info->consumers[i].pending, (double)info->consumers[i].idle_us / 1e6);
}

static void print_info(const struct conf *conf, const struct stream *s, const struct info *info)
{
	const struct stream_state *st = &info->state;

	printf("stream        %s in %s, group %s\n", conf->redis.stream, stream_address(s), conf->redis.group);
	printf("source        %s from %s, epoch %" PRIu64 "\n", st->host, st->start, st->epoch);
	printf("head          %" PRIu64 "-%" PRIu64 "\n", st->head.epoch, st->head.seq);
	printf("watermark     %" PRIu64 "-%" PRIu64 "\n", st->watermark.epoch, st->watermark.seq);
	printf("next ordinal  %" PRIu64 "\n", st->next_ordinal);
	printf("generation    %" PRIu64 "\n", st->generation);
	printf("entries       %" PRIu64 "\n", info->n_entries);
	printf("depth         %" PRIu64 " events, %" PRIu64 " bytes not yet acknowledged\n", info->depth.events,
		info->depth.bytes);
	printf("memory        %" PRIu64 " of %" PRIu64 " bytes\n", info->depth.used_memory, info->depth.max_memory);
	print_consumers(info);
}

static int show_info(const struct conf *conf, struct stream *s)
{
	struct info info = { 0 };
	struct err err;
	enum stream_status status = gather(s, &info, &err);

	if (status == STREAM_OK)
		print_info(conf, s, &info);
	free(info.consumers);
	return status == STREAM_OK ? EXIT_DONE : fail(status, &err);
}

/* ---- tail ---- */

/* Text of the network as one word: no blanks, no ASCII control characters. */
static void put(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		putchar(s.p[i] <= ' ' || s.p[i] == 0x7f ? '?' : s.p[i]);
}

static void print_ops(const struct event *e)
{
	for (uint32_t i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];

		printf(" %s:", op_action_name((enum op_action)op->action));
		put(op->collection);
		putchar('/');
		put(op->rkey);
		if (op->verdict != OP_VERDICT_OK)
			printf("(%s)", op_verdict_name((enum op_verdict)op->verdict));
	}
	if (e->n_filtered)
		printf(" filtered:%" PRIu32, e->n_filtered);
	for (uint32_t i = 0; i < e->n_filtered_collections; i++) {
		printf(" filtered:");
		put(e->filtered[i].collection.n ? e->filtered[i].collection : slice_str("others"));
		printf(":%" PRIu32, e->filtered[i].n);
	}
}

static void print_event(uint64_t epoch, const struct event *e)
{
	printf("%" PRIu64 "-%" PRIu64 " %s ", epoch, e->seq, event_kind_name(e->kind));
	if (e->did.n)
		put(e->did);
	else
		putchar('-');
	print_ops(e);
	if (e->kind == EVENT_IDENTITY && e->has_handle) {
		printf(" handle:");
		put(e->handle);
	}
	if (e->kind == EVENT_ACCOUNT) {
		printf(" %s", e->active ? "active" : "inactive:");
		put(e->status);
	}
	if (e->reason.n) {
		printf(" reason:");
		put(e->reason);
	}
	putchar('\n');
}

static void print_entry(const struct stream_entry *entry, struct arena *arena)
{
	enum pack_status status;
	struct pack_event pe;
	struct pack pack;
	struct event e;
	struct err err;

	status = pack_open(entry->bytes, &pack);
	while (status == PACK_OK && (status = pack_next(&pack, &pe)) == PACK_OK) {
		arena_reset(arena);
		if (event_decode(pe.kind, pe.flags, pe.seq, pe.payload, arena, &e, &err) == 0)
			print_event(pack.prefix.epoch, &e);
		else
			printf("%" PRIu64 "-%" PRIu64 " undecodable kind:%u bytes:%zu\n", pack.prefix.epoch, pe.seq,
				pe.kind, pe.payload.n);
	}
	if (status != PACK_END)
		printf("%" PRIu64 "-%" PRIu64 " no-pack %s bytes:%zu\n", entry->id.epoch, entry->id.seq,
			pack_status_name(status), entry->bytes.n);
}

/* Prints the entries and frees them; *after becomes the last one's id. False if nobody reads it any more. */
static bool print_entries(struct stream_entries *entries, struct stream_id *after, struct arena *arena)
{
	for (int i = 0; i < entries->n; i++) {
		print_entry(&entries->entries[i], arena);
		*after = entries->entries[i].id;
	}
	stream_entries_free(entries);
	return fflush(stdout) == 0;
}

/* Until Ctrl-C, which simply ends the process, or the reader of our output is gone. */
static enum stream_status follow(struct stream *s, struct stream_id after, struct arena *arena, struct err *err)
{
	struct stream_entries entries;
	enum stream_status status;
	bool heard = true;

	do {
		status = stream_range(s, after, READ_ENTRIES, &entries, err);
		if (status != STREAM_OK)
			return status;
		if (entries.n == 0)
			(void)wait_poll(NULL, -1, 0, clock_mono_us() + LOOK_EVERY_US);
		heard = print_entries(&entries, &after, arena);
	} while (heard);
	return STREAM_OK;
}

/* count 0: the newest few, then what comes. */
static int tail(struct stream *s, int count)
{
	struct stream_id after = { 0, 0 };
	struct stream_entries entries;
	struct arena arena = ARENA_INIT;
	struct err err;
	enum stream_status status = stream_newest(s, count ? count : FIRST_ENTRIES, &entries, &err);

	if (status == STREAM_OK && print_entries(&entries, &after, &arena) && !count)
		status = follow(s, after, &arena, &err);
	arena_done(&arena);
	return status == STREAM_OK ? EXIT_DONE : fail(status, &err);
}

/* ---- replay ---- */

static int replay(struct stream *s, const struct stream_id *from)
{
	enum stream_replayed result;
	enum stream_status status;
	struct stream_id at;
	struct err err;

	status = stream_replay(s, from, &result, &at, &err);
	if (status != STREAM_OK)
		return fail(status, &err);
	switch (result) {
	case REPLAYED:
		printf("the workers get everything after %" PRIu64 "-%" PRIu64 " once more\n", at.epoch, at.seq);
		return EXIT_DONE;
	case REPLAY_TOO_OLD:
		fprintf(stderr, "standpipe stream: the stream reaches back to %" PRIu64 "-%" PRIu64 " only; from the source: "
			"standpipe rewind SEQ\n", at.epoch, at.seq);
		break;
	case REPLAY_AHEAD:
		fprintf(stderr, "standpipe stream: nothing was delivered after that yet; delivery is at %" PRIu64 "-%" PRIu64
			"\n", at.epoch, at.seq);
		break;
	}
	return EXIT_CHECK;
}

/* ---- the command ---- */

struct arguments {
	const char *config, *verb;
	int count;
	bool has_count, has_from, from_oldest;
	struct stream_id from;
};

/* EPOCH-SEQ or `oldest`. */
static bool parse_from(const char *text, struct arguments *ret)
{
	int n = 0;

	ret->has_from = true;
	ret->from_oldest = strcmp(text, "oldest") == 0;
	if (ret->from_oldest)
		return true;
	return strlen(text) <= 32 && strspn(text, "0123456789-") == strlen(text) &&
	       sscanf(text, "%18" SCNu64 "-%18" SCNu64 "%n", &ret->from.epoch, &ret->from.seq, &n) == 2 && !text[n];
}

/* True if the options are those the verb takes. */
static bool fits(const struct arguments *a)
{
	if (strcmp(a->verb, "replay") == 0)
		return a->has_from && !a->has_count;
	if (a->has_from || (a->has_count && (a->count < 1 || a->count > MAX_COUNT)))
		return false;
	return strcmp(a->verb, "tail") == 0 || (strcmp(a->verb, "info") == 0 && !a->has_count);
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "count", required_argument, NULL, 'n' }, { "from", required_argument, NULL, 'f' }, { 0 } };
	int c;

	*ret = (struct arguments){ 0 };
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c') {
			ret->config = optarg;
		} else if (c == 'n' && strlen(optarg) <= 4 && strspn(optarg, "0123456789") == strlen(optarg)) {
			ret->count = atoi(optarg);
			ret->has_count = true;
		} else if (c == 'f' && parse_from(optarg, ret)) {
			continue;
		} else {
			return false;
		}
	}
	ret->verb = optind + 1 == argc ? argv[optind] : "";
	return fits(ret);
}

static int run(const struct conf *conf, const struct arguments *a)
{
	struct stream_options options = { .url = conf->redis.url, .password_file = conf->redis.password_file,
		.name = conf->redis.stream, .group = conf->redis.group, .waiter = { wait_poll, NULL } };
	struct stream *s = NULL;
	enum stream_status status;
	struct err err;
	int result;

	if (stream_new(&options, &s, &err) < 0) {
		fprintf(stderr, "standpipe stream: %s\n", err.text);
		return EXIT_CONFIG;
	}
	status = stream_connect(s, &err);
	if (status != STREAM_OK)
		result = fail(status, &err);
	else if (a->has_from)
		result = replay(s, a->from_oldest ? NULL : &a->from);
	else
		result = a->verb[0] == 'i' ? show_info(conf, s) : tail(s, a->count);
	stream_free(s);
	return result;
}

int command_stream(int argc, char **argv)
{
	struct arguments arguments;
	struct conf *conf = NULL;
	int status;

	if (!parse(argc, argv, &arguments))
		return command_usage(argv[0]);
	signal(SIGPIPE, SIG_IGN); /* Redis may go away while it is written to */
	status = command_conf(arguments.config, &conf);
	if (status == EXIT_DONE)
		status = run(conf, &arguments);
	conf_free(conf);
	return status;
}
