/* SPDX-License-Identifier: MIT
 *
 * An event's payload inside a pack: the first byte is its kind. */
#include "tests/fuzz/event_claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct arena arena;
	struct event e;
	struct err err = {""};
	int r;

	if (n == 0)
		return 0;
	arena_reset(&arena);
	r = event_decode(data[0] % 10, 0, 7, slice_of(data + 1, n - 1), &arena, &e, &err);
	if (r == 0) {
		must_be_an_event(&e);
		must_survive_a_pack(&e);
	} else if (r < 0) {
		MUST(err.text[0]);
	} else {
		MUST(r == FRAME_UNKNOWN);
	}
	return 0;
}
