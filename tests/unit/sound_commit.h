/* SPDX-License-Identifier: MIT
 *
 * sound_commit - a small commit with nothing wrong in it; tests change what they want to be wrong
 */
#ifndef TESTS_UNIT_SOUND_COMMIT_H
#define TESTS_UNIT_SOUND_COMMIT_H

#include "tests/unit/frames.h"

#define DID "did:plc:abcdefghijklmnopqrstuvwx"
#define LIKE "app.bsky.feed.like/3mn6rk4ns6kpe"
#define REV "3mn6rk4ns6lah"

static const int64_t now_us = 1780272000000000; /* 2026-06-01, when REV was made */

static struct made sound(const struct made_op *ops, size_t n_ops)
{
	return (struct made){ .type = "#commit",
		.seq = 31000000001,
		.did = DID,
		.rev = REV,
		.since = "3mn6rk4ns6kzz",
		.time = "2026-06-01T00:00:00.000Z",
		.ops = ops,
		.n_ops = n_ops };
}

static struct made_op like_op(unsigned twist)
{
	return (struct made_op){ "create", LIKE, slice_str("\xa1\x61\x61\x01"), twist };
}

#endif
