/* SPDX-License-Identifier: MIT
 *
 * blocks - the blocks of one CAR, found by the digest of their CID
 *
 * Borrowed bytes in, borrowed slices out; the index lives in the arena. Duplicates are legal: any one that
 * hashes to the digest counts. A block is hashed when it is asked for, and only then.
 * Errors: enum car_status of the CAR; blocks_find says of a block whether it is there and sound.
 */
#ifndef CODEC_BLOCKS_H
#define CODEC_BLOCKS_H

#include "codec/car.h"

struct block;

struct blocks {
	struct block *block; /* sorted by digest */
	size_t n;
};

enum block_status {
	BLOCK_OK = 0,
	BLOCK_ABSENT,
	BLOCK_UNSOUND, /* no block of that CID hashes to it */
};

/* Walks the rest of an open CAR. */
enum car_status blocks_index(struct car *car, struct arena *arena, struct blocks *ret) NODISCARD;
enum block_status blocks_find(const struct blocks *blocks, const uint8_t digest[CID_DIGEST],
	struct slice *ret_block) NODISCARD;

#endif
