/* SPDX-License-Identifier: MIT */
#include "workers/reader_search.h"

#include "tap.h"

#include <stdlib.h>

static const int64_t second_us = 1000000;

/* A host: frames with rising seqs and times; from `kept` on they can still be had. */
struct host {
	int n, kept;
	uint64_t *seqs;
	int64_t *times;
	bool inclusive, live; /* live: asked for a cursor ahead it serves its newest frame */
};

static struct host host_of(int n, unsigned seed, uint64_t seq0, int max_gap, int64_t max_pause_us)
{
	struct host h = { .n = n, .seqs = calloc((size_t)n, sizeof *h.seqs), .times = calloc((size_t)n, sizeof *h.times) };
	int64_t time_us = 1000 * second_us;
	uint64_t seq = seq0;

	if (!h.seqs || !h.times)
		abort();
	srandom(seed);
	for (int i = 0; i < n; i++) {
		h.seqs[i] = seq += 1 + (uint64_t)(random() % max_gap);
		h.times[i] = time_us += random() % max_pause_us;
	}
	return h;
}

static void host_free(struct host *h)
{
	free(h->seqs);
	free(h->times);
}

/* Index of the first frame for a cursor; n: none. */
static int first_of(const struct host *h, uint64_t cursor)
{
	int i = h->kept;

	while (i < h->n && (h->inclusive ? h->seqs[i] < cursor : h->seqs[i] <= cursor))
		i++;
	return i;
}

static enum search_step search(struct reader_search *s, const struct host *h, int64_t wanted_us, int64_t near_us)
{
	enum search_step step = SEARCH_ASK;

	search_begin(s, wanted_us, near_us);
	while (step == SEARCH_ASK) {
		int i = first_of(h, s->cursor);

		i = i == h->n && h->live && h->n > h->kept ? h->n - 1 : i;
		step = i < h->n ? search_frame(s, h->seqs[i], h->times[i]) : search_nothing(s);
	}
	return step;
}

/* Newest kept frame that is not later than that; -1: none. */
static int last_before(const struct host *h, int64_t wanted_us)
{
	int found = -1;

	for (int i = h->kept; i < h->n && h->times[i] <= wanted_us; i++)
		found = i;
	return found;
}

static int index_of(const struct host *h, uint64_t seq)
{
	for (int i = h->kept; i < h->n; i++)
		if (h->seqs[i] == seq)
			return i;
	return -1;
}

/* What is found must be early enough, and near: within near_us, or the very last one. */
static bool right(const struct host *h, int64_t wanted_us, int64_t near_us, int *ret_most)
{
	struct reader_search s;
	enum search_step step = search(&s, h, wanted_us, near_us);
	int best = last_before(h, wanted_us), found = index_of(h, s.found);

	*ret_most = s.n_asked > *ret_most ? s.n_asked : *ret_most;
	if (best < 0)
		return step == SEARCH_IMPOSSIBLE;
	return step == SEARCH_FOUND && found >= 0 && found <= best &&
	       (found == best || h->times[found] >= wanted_us - near_us);
}

static void test_hosts(void)
{
	static const struct {
		const char *claim;
		uint64_t seq0;
		int max_gap;
		int64_t max_pause_us, near_us;
		bool inclusive, live;
	} hosts[] = {
		{ "seqs without gaps", 0, 1, 2000000, 60000000, false, false },
		{ "an inclusive host", 0, 1, 2000000, 60000000, true, false },
		{ "seqs with gaps, from a high one on", 31000000000, 50, 2000000, 60000000, false, false },
		{ "the same, inclusive", 31000000000, 50, 2000000, 60000000, true, false },
		{ "pauses longer than what counts as near", 5000, 9, 900000000, 1000000, false, false },
		{ "near is never near enough", 5000, 9, 2000000, 0, true, false },
		{ "cursors ahead are served live", 31000000000, 50, 2000000, 60000000, false, true },
		{ "the same, inclusive, far away", 9000000000000, 90, 2000000, 1000000, true, true },
	};

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		bool good = true;
		int most = 0;

		for (unsigned seed = 1; seed <= 40; seed++) {
			struct host h = host_of(3000, seed, hosts[i].seq0, hosts[i].max_gap, hosts[i].max_pause_us);

			h.inclusive = hosts[i].inclusive;
			h.live = hosts[i].live;
			h.kept = (int)seed * 20;
			for (int at = 0; at < h.n; at += 97) {
				good = good && right(&h, h.times[at], hosts[i].near_us, &most);
				good = good && right(&h, h.times[at] - 1, hosts[i].near_us, &most);
			}
			good = good && right(&h, h.times[h.n - 1] + 3600 * second_us, hosts[i].near_us, &most);
			host_free(&h);
		}
		ok(good, "%s: found at any time, impossible only before the oldest", hosts[i].claim);
		if (!ok(most < 60, "with fewer than 60 questions"))
			printf("# %d\n", most);
	}
}

static void test_empty(void)
{
	struct host h = host_of(1, 1, 5, 1, 1);
	struct reader_search s;

	h.kept = 1;
	ok(search(&s, &h, 5 * second_us, second_us) == SEARCH_IMPOSSIBLE && s.n_asked == 0,
		"a host that has nothing: impossible after one question");
	h.kept = 0;
	ok(search(&s, &h, 5000 * second_us, second_us) == SEARCH_FOUND && s.found == h.seqs[0],
		"a host that has one frame: that");
	host_free(&h);
}

int main(void)
{
	test_hosts();
	test_empty();
	return done();
}
