/* SPDX-License-Identifier: MIT
 *
 * A WebSocket message as it is. */
#include "tests/fuzz/frame_claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	frame_claims(slice_of(data, n));
	return 0;
}
