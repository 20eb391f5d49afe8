/* SPDX-License-Identifier: MIT */
#include "domain/filter.h"

/* True if the pattern is the collection, "*", or "prefix.*" of it. */
static bool pattern_fits(const char *pattern, struct slice collection)
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		return collection.n >= n - 1 && memcmp(collection.p, pattern, n - 1) == 0;
	return slice_is(collection, pattern);
}

static bool wanted(const struct op *op, char *const *patterns, int n_patterns)
{
	if (op->collection.n == 0)
		return true;
	for (int i = 0; i < n_patterns; i++)
		if (pattern_fits(patterns[i], op->collection))
			return true;
	return false;
}

uint32_t filter_ops(struct event *e, char *const *patterns, int n_patterns)
{
	uint32_t n = 0, n_dropped;

	for (uint32_t i = 0; i < e->n_ops; i++) {
		struct op op = e->ops[i];

		if (!wanted(&op, patterns, n_patterns))
			continue;
		e->ops[i] = e->ops[n];
		e->ops[n++] = op;
	}
	n_dropped = e->n_ops - n;
	e->n_filtered += n_dropped;
	e->n_ops = n;
	return n_dropped;
}
