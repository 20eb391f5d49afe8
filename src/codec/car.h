/* SPDX-License-Identifier: MIT
 *
 * car - CAR v1: a header with roots, then blocks, each behind its CID
 *
 * Borrowed bytes in, borrowed slices out. Block order is free; duplicates and surplus blocks are legal.
 * car_next does not hash: the caller hashes the blocks it needs (cid_matches).
 * Errors: enum car_status. Source: ipld.io/specs/transport/car/carv1.
 */
#ifndef CODEC_CAR_H
#define CODEC_CAR_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/cid.h"

enum car_status {
	CAR_OK = 0,
	CAR_END,	 /* car_next: no more blocks */
	CAR_E_TRUNCATED, /* a length points behind the end */
	CAR_E_VARINT,	 /* longer than 9 bytes, or not the shortest form */
	CAR_E_HEADER,	 /* not DAG-CBOR {roots: [CID], version: 1} */
	CAR_E_ROOTS,	 /* no root */
	CAR_E_CID,	 /* a block's CID is not v1 dag-cbor/raw SHA-256 */
	N_CAR_STATUS
};

struct car {
	const uint8_t *p, *end;
	struct cid root; /* the first one */
};

const char *car_status_name(enum car_status status);
enum car_status car_open(struct slice bytes, struct arena *scratch, struct car *ret_car) NODISCARD;
enum car_status car_next(struct car *car, struct cid *ret_cid, struct slice *ret_block) NODISCARD;

#endif
