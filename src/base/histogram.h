/* SPDX-License-Identifier: MIT
 *
 * histogram - how long things took, in fixed buckets from 0.5 ms to a day
 *
 * Lies in shared memory: one process adds, anybody reads at any time; two readings can be subtracted, so
 * that a quantile is that of an interval. Owns: nothing. Errors: none.
 * Must not know: what took so long.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 20, HISTOGRAM_BUCKETS };

/* Upper bounds in microseconds, inclusive; the last bucket has none. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

struct histogram {
	_Atomic uint64_t bucket[HISTOGRAM_BUCKETS]; /* not cumulative */
	_Atomic uint64_t sum_us;
};

struct histogram_sample {
	uint64_t bucket[HISTOGRAM_BUCKETS], sum_us;
};

/* n things took us each; a negative time (two clocks) counts as none. */
void histogram_add(struct histogram *h, int64_t us, uint64_t n);
/* Adds what h holds now to the sample. */
void histogram_read(const struct histogram *h, struct histogram_sample *sample);
uint64_t histogram_count(const struct histogram_sample *s);
/* Seconds below which the share q of those added between the two samples lies, interpolated inside its
 * bucket; negative if there were none. `before` NULL: since the beginning. */
double histogram_quantile(const struct histogram_sample *before, const struct histogram_sample *now, double q);

#endif
