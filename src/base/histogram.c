/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#include <stddef.h>

const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = { 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000,
	200000, 500000, 1000000, 2000000, 5000000, 10000000, 30000000, 60000000, 300000000, 1800000000,
	7200000000, 86400000000 };

static void add(_Atomic uint64_t *at, uint64_t n)
{
	/* one writer: a plain read-modify-write suffices */
	atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n, memory_order_relaxed);
}

void histogram_add(struct histogram *h, int64_t us, uint64_t n)
{
	uint64_t v = us > 0 ? (uint64_t)us : 0;
	int i = 0;

	while (i < HISTOGRAM_BOUNDS && v > histogram_bounds_us[i])
		i++;
	add(&h->bucket[i], n);
	add(&h->sum_us, v * n);
}

void histogram_read(const struct histogram *h, struct histogram_sample *sample)
{
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sample->bucket[i] += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
	sample->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram_sample *s)
{
	uint64_t n = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		n += s->bucket[i];
	return n;
}

double histogram_quantile(const struct histogram_sample *before, const struct histogram_sample *now, double q)
{
	double total = (double)(histogram_count(now) - (before ? histogram_count(before) : 0));
	double rank = total * q, below = 0;

	if (total <= 0)
		return -1;
	for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
		double n = (double)(now->bucket[i] - (before ? before->bucket[i] : 0));
		double from = i ? (double)histogram_bounds_us[i - 1] : 0, to = (double)histogram_bounds_us[i];

		if (n > 0 && below + n >= rank)
			return (from + (to - from) * (rank - below) / n) / 1e6;
		below += n;
	}
	return (double)histogram_bounds_us[HISTOGRAM_BOUNDS - 1] / 1e6;
}
