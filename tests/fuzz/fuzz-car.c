/* SPDX-License-Identifier: MIT
 *
 * CAR: what is read, written again from its parts, is the same bytes; blocks lie within the input, one
 * after the other; a CID's text and bytes are two forms of the same.
 */
#include "tests/fuzz/fuzz.h"

#include "codec/car.h"

/* Goes on at *at with a varint in its only form. */
static void expect_varint(const uint8_t **at, const uint8_t *end, uint64_t v)
{
	do {
		MUST(*at < end);
		MUST(*(*at)++ == (uint8_t)(v > 127 ? v | 128 : v));
		v >>= 7;
	} while (v);
}

static void check_cid(const struct cid *cid, const uint8_t *at)
{
	char text[CID_TEXT + 1];
	uint8_t bytes[CID_BYTES];
	struct cid again;

	cid_to_bytes(cid, bytes);
	MUST(memcmp(bytes, at, sizeof bytes) == 0);
	cid_to_text(cid, text);
	MUST(strlen(text) == CID_TEXT);
	MUST(cid_from_text(slice_str(text), &again) && cid_eq(&again, cid));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct arena arena;
	const uint8_t *at, *end = n ? data + n : data;
	struct slice block;
	struct car car;
	struct cid cid;
	enum car_status status;

	arena_reset(&arena);
	status = car_open(slice_of(data, n), &arena, &car);
	if (status != CAR_OK) {
		MUST(status != CAR_END);
		return 0;
	}
	MUST(car.p > data && car.p <= end && car.end == end);
	for (;;) {
		at = car.p;
		status = car_next(&car, &cid, &block);
		if (status != CAR_OK)
			break;
		expect_varint(&at, end, CID_BYTES + block.n);
		check_cid(&cid, at);
		MUST(at + CID_BYTES == block.p && block.p + block.n == car.p);
	}
	MUST(car.p == at && (status == CAR_END) == (at == end));
	return 0;
}
