/* SPDX-License-Identifier: MIT
 *
 * The generated network: every frame is one that a strict consumer takes.
 */
#include "tests/unit/tap.h"

#include "codec/car.h"
#include "codec/cbor.h"
#include "tests/relay/frame_file.h"
#include "tests/relay/network.h"

enum { N_FRAMES = 3000 };

static const struct options usual = {.seed = 5,
	.n_accounts = 30,
	.max_records = 40,
	.late = 10,
	.never = 5,
	.late_span = 100,
	.eps = 500,
	.gaps = 5,
	.odd = 20,
	.seq0 = 1000,
	.start = "2026-01-01T00:00:00Z"};

/* What is seen of one stream. */
struct seen {
	size_t n_loose, n_bad_blocks, n_bad_roots, n_bad_seqs, n_records;
	uint64_t last_seq, max_seq_step;
	uint8_t digest[CID_DIGEST];
};

/* Hashes and checks every block of a CAR; counts records. */
static void check_car(struct slice bytes, struct arena *arena, struct seen *seen)
{
	struct slice block;
	struct cid cid;
	struct car car;
	bool root = false;

	if (car_open(bytes, arena, &car) != CAR_OK) {
		seen->n_bad_blocks++;
		return;
	}
	while (car_next(&car, &cid, &block) == CAR_OK) {
		root = root || cid_eq(&cid, &car.root);
		if (!cid_matches(&cid, block) || cbor_check(block, arena) != CBOR_OK)
			seen->n_bad_blocks++;
		seen->n_records++;
	}
	seen->n_bad_roots += !root;
}

static void check_frame(struct slice frame, struct seen *seen)
{
	struct arena arena = ARENA_INIT;
	struct cbor_item blocks;
	struct slice body;
	uint64_t seq = 0;
	size_t n = 0;

	if (cbor_check_first(frame, &arena, &n) != CBOR_OK)
		n = frame.n;
	body = slice_of(frame.p + n, frame.n - n);
	seen->n_loose += cbor_check(body, &arena) != CBOR_OK;
	if (cbor_path(body, "blocks", &blocks, NULL) == CBOR_OK)
		check_car(blocks.s, &arena, seen);
	seen->n_bad_seqs += !frame_seq(frame, &seq) || seq <= seen->last_seq;
	if (seq - seen->last_seq > seen->max_seq_step && seen->last_seq)
		seen->max_seq_step = seq - seen->last_seq;
	seen->last_seq = seq;
	arena_done(&arena);
}

/* Runs a network and looks at every frame. */
static bool run(const struct options *options, struct seen *ret_seen)
{
	struct buf frame = BUF_INIT, all = BUF_INIT;
	struct network net;
	struct err err = {""};

	*ret_seen = (struct seen){0};
	if (network_init(&net, options, NULL, &err)) {
		printf("# %s\n", err.text);
		return false;
	}
	for (int i = 0; i < N_FRAMES; i++) {
		uint8_t digest[CID_DIGEST];

		buf_reset(&frame);
		network_next(&net, &frame);
		check_frame(buf_slice(&frame), ret_seen);
		sha256(buf_slice(&frame), digest);
		buf_add(&all, digest, sizeof digest);
	}
	sha256(buf_slice(&all), ret_seen->digest);
	network_done(&net);
	buf_done(&frame);
	buf_done(&all);
	return true;
}

static void check_stream(const char *name, const struct options *options)
{
	struct seen seen, again;

	ok(run(options, &seen) && run(options, &again), "%s: %d frames", name, N_FRAMES);
	ok(!seen.n_loose, "%s: headers and bodies are strict DAG-CBOR", name);
	ok(seen.n_records > N_FRAMES && !seen.n_bad_blocks && !seen.n_bad_roots,
		"%s: %zu blocks are strict DAG-CBOR and hash to their CID", name, seen.n_records);
	ok(!seen.n_bad_seqs, "%s: every frame has a seq and it rises", name);
	ok((seen.max_seq_step > 1) == (options->gaps > 0), "%s: seqs have gaps only if asked",
		name);
	ok(memcmp(seen.digest, again.digest, CID_DIGEST) == 0,
		"%s: the same seed gives the same bytes", name);
}

static void check_seed(void)
{
	struct options other = usual;
	struct seen a, b;

	other.seed++;
	ok(run(&usual, &a) && run(&other, &b) && memcmp(a.digest, b.digest, CID_DIGEST) != 0,
		"another seed gives another network");
}

static void check_start(void)
{
	struct options bad = usual;
	struct network net;
	struct err err = {""};

	bad.start = "tomorrow";
	ok(network_init(&net, &bad, NULL, &err) == -1 && strstr(err.text, "--start"),
		"a bad start time is refused");
	network_done(&net);
}

int main(void)
{
	struct options plain = usual, one = usual, cheap = usual;

	check_stream("with odd cases", &usual);
	plain.odd = plain.gaps = 0;
	check_stream("without", &plain);
	one.n_accounts = 1;
	check_stream("one account", &one);
	cheap.is_unsigned = true;
	check_stream("unsigned", &cheap);
	check_seed();
	check_start();
	return done();
}
