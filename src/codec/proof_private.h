/* SPDX-License-Identifier: MIT
 *
 * proof_private - what proof.c (reading, changing) and proof_root.c share
 */
#ifndef CODEC_PROOF_PRIVATE_H
#define CODEC_PROOF_PRIVATE_H

#include "codec/proof.h"

struct proof_item {
	struct slice key; /* p == NULL: a stub, a subtree whose root is at `layer` */
	uint8_t layer;
	bool removed;
	uint8_t digest[CID_DIGEST]; /* of the value, or of the subtree */
};

#endif
