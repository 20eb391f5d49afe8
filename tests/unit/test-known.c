/* SPDX-License-Identifier: MIT */
#include "tests/unit/tap.h"
#include "workers/known.h"

static uint64_t id_of(uint64_t i)
{
	return (i ^ i >> 7) * 0xbf58476d1ce4e5b9u;
}

/* How many of the ids from..to are known. */
static int n_known(const struct known *k, uint64_t from, uint64_t to)
{
	int n = 0;

	for (uint64_t i = from; i < to; i++)
		n += known_has(k, id_of(i));
	return n;
}

static void add(struct known *k, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		known_add(k, id_of(i));
}

int main(void)
{
	struct known k = { .bits = 12 };

	ok(!known_has(&k, 0) && !n_known(&k, 1, 1000), "nothing is known at first");
	known_add(&k, 0);
	add(&k, 1, 1000);
	ok(known_has(&k, 0) && n_known(&k, 1, 1000) == 999, "what was added is known, 0 too");
	ok(n_known(&k, 1000, 1000000) < 3, "strangers are not");
	add(&k, 1000, 100000);
	ok(n_known(&k, 99000, 100000) > 800, "far beyond its size the newest are known (%d of 1000)",
		n_known(&k, 99000, 100000));
	ok(n_known(&k, 1, 100000) <= 4096, "and no more than it has room for");
	known_clear(&k);
	ok(!n_known(&k, 0, 100000), "cleared, nothing is known");
	known_done(&k);
	return done();
}
