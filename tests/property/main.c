/* SPDX-License-Identifier: MIT
 *
 * test-any-order - any order, any number of times, any number of workers: the same database
 *
 * Thousands of instances of generated histories go through the production writer at once; afterwards the
 * canonical dump of each must be what the model says, and a whole second pass under another epoch, in other
 * orders, must change no byte. Needs an empty database with the schema (--conninfo or PG*).
 */
#include "any_order.h"

#include "base/clock.h"
#include "base/rules.h"
#include "unit/tap.h"

#include <getopt.h>

struct options {
	const char *conninfo;
	uint64_t seed;
	int n_shuffles, n_workers, only, every;
};

static const char *const broken_names[] = {
#define X(rule, broken) #broken,
	RULES(X)
#undef X
};

enum { N_BROKEN = sizeof broken_names / sizeof *broken_names };

static void make_world(struct world *w, const struct options *o)
{
	*w = (struct world){ .seed = o->seed, .n_shuffles = o->n_shuffles, .every = o->every,
		.n_orders = CLASS_ORDERS / o->every,
		.n_instances = o->n_shuffles + n_classes * N_CUTS * (CLASS_ORDERS / o->every) };
	w->histories = arena_alloc(&w->arena, (size_t)w->n_instances * sizeof *w->histories);
	for (int i = 0; i < w->n_instances; i++) {
		struct rng rng = rng_seeded(o->seed + (uint64_t)i * 0x10001);
		struct maker m = { &w->arena, &rng, &w->histories[i], i };

		if (i < w->n_shuffles) {
			history_begin(&m, o->seed, 2 + (int)rng_below(&rng, MAX_ACCOUNTS - 1));
			history_random(&m);
		} else {
			const struct class *c = &classes[class_place(w, i).class];

			history_begin(&m, o->seed, c->n_accounts);
			c->make(&m);
		}
	}
}

/* Bytes of the line that begins at p. */
static int line_length(const char *p)
{
	return (int)strcspn(p, "\n");
}

/* Steps over the lines in which the two agree. */
static void skip_equal(const char **expected, const char **found)
{
	const char *a = *expected, *b = *found;

	while (*a && *b && line_length(a) == line_length(b) && !strncmp(a, b, (size_t)line_length(a))) {
		a += line_length(a) + 1;
		b += line_length(b) + 1;
	}
	*expected = a;
	*found = b;
}

/* Prints the first line in which the two differ, what led to it, and how to see it alone. */
static void show_failure(const struct world *w, const struct plan *p, int instance, const char *expected,
	const char *found)
{
	const char *differing;
	char *line;

	printf("# seed %llu, instance %d", (unsigned long long)w->seed, instance);
	if (instance >= w->n_shuffles) {
		struct class_place at = class_place(w, instance);

		printf(": order %d of \"%s\" in %d batches", at.order, classes[at.class].name, class_cuts[at.cut]);
	}
	printf("; alone: --seed %llu --shuffles %d --every %d --workers 1 --only %d\n", (unsigned long long)w->seed,
		w->n_shuffles, w->every, instance);
	skip_equal(&expected, &found);
	printf("#   expected: %.*s\n#   found:    %.*s\n", line_length(expected), expected, line_length(found), found);
	differing = *expected ? expected : found;
	line = strndup(differing, (size_t)line_length(differing));
	if (line)
		plan_show(p, w, instance, line);
	free(line);
}

/* Compares n instances from first; returns how many are not as the model says, the first of them shown.
 * *sum becomes a hash of all that was found. */
static int compare(const struct world *w, const struct plan *p, struct dump *d, int first, int n, uint8_t *sum)
{
	struct buf expected = BUF_INIT, found = BUF_INIT;
	struct arena arena = ARENA_INIT;
	int wrong = 0;

	for (int i = first; i < first + n; i++) {
		uint8_t link[2 * CID_DIGEST];

		arena_reset(&arena);
		buf_reset(&expected);
		buf_reset(&found);
		model_lines(&w->histories[i], &arena, &expected);
		dump_lines(d, i, &found);
		memcpy(link, sum, CID_DIGEST);
		sha256(buf_slice(&found), link + CID_DIGEST);
		sha256(slice_of(link, sizeof link), sum);
		if (slice_eq(buf_slice(&expected), buf_slice(&found)))
			continue;
		if (!wrong++)
			show_failure(w, p, i, buf_str(&expected), buf_str(&found));
	}
	buf_done(&expected);
	buf_done(&found);
	arena_done(&arena);
	return wrong;
}

static void show_sum(const char *what, const uint8_t *sum, int64_t began_us)
{
	printf("# %s: dump ", what);
	for (int i = 0; i < 8; i++)
		printf("%02x", sum[i]);
	printf(", %.1f s so far\n", (double)(clock_mono_us() - began_us) / 1e6);
}

/* A claim for the shuffles, then one per class. */
static void check_all(const struct world *w, const struct plan *p, struct dump *d, const char *pass, uint8_t *sum)
{
	int wrong, per_class = N_CUTS * w->n_orders;

	wrong = compare(w, p, d, 0, w->n_shuffles, sum);
	ok(!wrong, "%s: %d shuffled histories of 40 to 60 events are as the model says (%d are not)", pass, w->n_shuffles,
		wrong);
	for (int c = 0; c < n_classes; c++) {
		wrong = compare(w, p, d, w->n_shuffles + c * per_class, per_class, sum);
		ok(!wrong, "%s: %s: every one of %d orders, in 1, 2 and %d transactions (%d are wrong)", pass,
			classes[c].name, w->n_orders, CLASS_EVENTS, wrong);
	}
}

static void check_only(const struct world *w, const struct plan *p, struct dump *d, int only, uint8_t *sum)
{
	ok(compare(w, p, d, only, 1, sum) == 0, "instance %d is as the model says", only);
}

/* Of a build with a broken rule the dump alone is judged. */
static void check_ledger(struct dump *d, long long n_events)
{
	if (RULE_EXPAND(BROKEN_, BREAK_RULE) != BROKEN_none)
		return;
	ok(dump_number(d, "SELECT count(*) FROM standpipe.ledger_summary WHERE residue <> 0") == 0,
		"every operation received has one outcome in the ledger");
	ok(dump_number(d, "SELECT sum(received) FROM standpipe.ledger_summary WHERE class_id >= 200") == n_events,
		"every event delivered was received once");
	ok(dump_number(d, "SELECT (SELECT count(*) FROM bsky.records) - (SELECT sum(inserted) FROM standpipe.ledger_summary)") == 0,
		"as many first versions were applied as there are records");
}

/* Writes everything under this epoch and compares; false if it could not be written or read. */
static bool pass(const struct world *w, const struct options *o, uint64_t epoch, struct dump *d, const char *name,
	uint8_t *sum)
{
	struct plan p;
	struct apply a = { .conninfo = o->conninfo, .world = w, .plan = &p, .epoch = epoch, .n_workers = o->n_workers,
		.only = o->only };
	bool good;

	plan_make(&p, w, epoch);
	printf("# %s: %d deliveries in %d batches\n", name, p.n, p.n_batches);
	good = ok(apply_all(&a), "%s: every batch is committed", name) && ok(dump_read(d), "%s: the dump is read", name);
	if (good && o->only >= 0)
		check_only(w, &p, d, o->only, sum);
	else if (good)
		check_all(w, &p, d, name, sum);
	if (good && o->only < 0 && epoch == 1)
		check_ledger(d, p.n);
	plan_done(&p);
	return good;
}

static const char missing_sql[] =
	"SELECT count(*) FROM bsky.keys k WHERE NOT bsky.has_content(k.rkey, k.actor, k.kind) AND NOT EXISTS"
	" (SELECT FROM standpipe.pending p WHERE (p.rkey, p.actor, p.kind) = (k.rkey, k.actor, k.kind))";

static void run(const struct options *o, struct dump *d)
{
	uint8_t first[CID_DIGEST] = { 0 }, second[CID_DIGEST] = { 0 };
	int64_t began_us = clock_mono_us();
	struct world w;

	make_world(&w, o);
	if (pass(&w, o, 1, d, "first pass", first)) {
		show_sum("first pass", first, began_us);
		ok(dump_number(d, missing_sql) == 0, "every missing parent has its row in the pending queue");
	}
	if (tap_failed) {
		printf("# the second pass is left out\n");
	} else if (pass(&w, o, 2, d, "again under a new epoch", second)) {
		show_sum("second pass", second, began_us);
		ok(!memcmp(first, second, sizeof first), "the second pass changed no byte of the dump");
	}
	arena_done(&w.arena);
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option options[] = {
		{ "conninfo", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "shuffles", required_argument, NULL, 'n' },
		{ "workers", required_argument, NULL, 'w' },
		{ "only", required_argument, NULL, 'o' },
		{ "every", required_argument, NULL, 'e' },
		{ 0 },
	};
	int c;

	*ret = (struct options){ .conninfo = "", .seed = (uint64_t)clock_wall_us() / 1000, .n_shuffles = 1000,
		.n_workers = 3, .only = -1, .every = 1 };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			ret->conninfo = optarg;
		else if (c == 's')
			ret->seed = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			ret->n_shuffles = (int)strtol(optarg, NULL, 10);
		else if (c == 'w')
			ret->n_workers = (int)strtol(optarg, NULL, 10);
		else if (c == 'o')
			ret->only = (int)strtol(optarg, NULL, 10);
		else if (c == 'e')
			ret->every = (int)strtol(optarg, NULL, 10);
		else
			return false;
	}
	return ret->n_workers >= 1 && ret->n_workers <= 4 && ret->n_shuffles >= 0 && ret->n_shuffles <= 100000 &&
	       ret->every >= 1 && CLASS_ORDERS % ret->every == 0 &&
	       ret->only < ret->n_shuffles + n_classes * N_CUTS * CLASS_ORDERS / ret->every;
}

int main(int argc, char **argv)
{
	struct options o;
	struct dump d;

	if (argc == 2 && !strcmp(argv[1], "--list-rules")) {
		for (int i = 0; i < N_BROKEN; i++)
			puts(broken_names[i]);
		return 0;
	}
	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: test-any-order [--conninfo C] [--seed N] [--shuffles N] [--workers 1..4] [--only N] "
				"[--every N] | --list-rules\n");
		return 64;
	}
	printf("# seed %llu, %d shuffles, %d workers\n", (unsigned long long)o.seed, o.n_shuffles, o.n_workers);
	if (!dump_open(&d, o.conninfo) || dump_number(&d, "SELECT count(*) FROM bsky.actors") != 0) {
		printf("Bail out! no empty database with the schema\n");
		return 1;
	}
	if (ok(dump_make_views(&d), "the views are made"))
		run(&o, &d);
	dump_close(&d);
	return done();
}
