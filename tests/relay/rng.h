/* SPDX-License-Identifier: MIT
 *
 * rng - the generator's random numbers: xoshiro256**, seeded by splitmix64; same seed, same numbers
 */
#ifndef RELAY_RNG_H
#define RELAY_RNG_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

static inline struct rng rng_seeded(uint64_t seed)
{
	struct rng r;

	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		r.s[i] = z ^ (z >> 31);
	}
	return r;
}

static inline uint64_t rng_rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t v = rng_rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = rng_rotl(r->s[3], 45);
	return v;
}

/* 0 .. n-1; n above 0, and far below 2^64: the bias does not matter here. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_u64(r) % n;
}

/* [0, 1) */
static inline double rng_unit(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

static inline bool rng_percent(struct rng *r, double percent)
{
	return percent > 0 && rng_unit(r) * 100 < percent;
}

/* 0 .. n-1, the lower the likelier; power 1 is even. */
static inline uint64_t rng_skewed(struct rng *r, uint64_t n, double power)
{
	uint64_t i = (uint64_t)(pow(rng_unit(r), power) * (double)n);

	return i < n ? i : n - 1;
}

#endif
