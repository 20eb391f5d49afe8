/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"
#include "base/stats.h"

#include "tap.h"

#include <math.h>
#include <stdlib.h>

static struct histogram_sample read_one(const struct histogram *h)
{
	struct histogram_sample s = { 0 };

	histogram_read(h, &s);
	return s;
}

static bool near(double got, double wanted)
{
	if (fabs(got - wanted) < 1e-9)
		return true;
	printf("# got %.9f, wanted %.9f\n", got, wanted);
	return false;
}

static void test_buckets(void)
{
	struct histogram h = { 0 };
	struct histogram_sample s;

	for (int i = 0; i < HISTOGRAM_BOUNDS; i++) {
		histogram_add(&h, (int64_t)histogram_bounds_us[i], 1);
		histogram_add(&h, (int64_t)histogram_bounds_us[i] + 1, 10);
	}
	s = read_one(&h);
	ok(s.bucket[0] == 1 && s.bucket[HISTOGRAM_BOUNDS] == 10, "a bound belongs to the bucket below it");
	ok(s.bucket[7] == 11, "what is above it to the next");
	ok(histogram_count(&s) == 11 * HISTOGRAM_BOUNDS, "nothing is lost");
	h = (struct histogram){ 0 };
	histogram_add(&h, -5000000, 3);
	s = read_one(&h);
	ok(s.bucket[0] == 3 && s.sum_us == 0, "a negative time counts as none");
}

static void test_quantiles(void)
{
	struct histogram h = { 0 };
	struct histogram_sample before = { 0 }, now;

	ok(histogram_quantile(NULL, &before, 0.5) < 0, "of nothing there is no quantile");
	histogram_add(&h, 1500, 100);
	now = read_one(&h);
	ok(near(histogram_quantile(NULL, &now, 0.5), 0.0015), "the middle of its bucket");
	ok(near(histogram_quantile(NULL, &now, 0.99), 0.00199), "interpolated");
	before = now;
	histogram_add(&h, 800000, 98);
	histogram_add(&h, 40000000, 2);
	now = read_one(&h);
	ok(near(histogram_quantile(&before, &now, 0.49), 0.75), "only what came between two samples counts");
	ok(near(histogram_quantile(&before, &now, 0.99), 45), "the tail is seen");
	ok(histogram_quantile(&now, &now, 0.5) < 0, "nothing between them: none");
	histogram_add(&h, INT64_C(1) << 50, 1000);
	now = read_one(&h);
	ok(near(histogram_quantile(NULL, &now, 0.99), 86400), "beyond the last bound: the last bound");
}

static void test_marks(void)
{
	struct stats_page *page = calloc(1, sizeof *page);
	int n_right = 0, n_wrong = 0;

	if (!page)
		abort();
	ok(stats_mark_get(page, 1, 7) == 0, "nothing is known of a pack that was not appended");
	for (uint64_t seq = 64; seq <= 64 * 100; seq += 64)
		stats_mark_set(page, 1, seq, seq * 10);
	for (uint64_t seq = 64; seq <= 64 * 100; seq += 64) {
		uint64_t at_us = stats_mark_get(page, 1, seq);

		n_right += at_us == seq * 10;
		n_wrong += at_us && at_us != seq * 10;
	}
	ok(n_right > 90 && n_wrong == 0, "of the newest hundred packs nearly all are known, none wrong");
	ok(stats_mark_get(page, 2, 64) == 0, "another epoch's seq is another pack");
	for (uint64_t seq = 100000; seq < 200000; seq++)
		stats_mark_set(page, 1, seq, seq);
	ok(stats_mark_get(page, 1, 6400) == 0, "old ones are forgotten");
	free(page);
}

int main(void)
{
	test_buckets();
	test_quantiles();
	test_marks();
	return done();
}
