/* SPDX-License-Identifier: MIT
 *
 * JSON of the data model. As CBOR: valid bytes become JSON, and where that is said to be exact, JSON becomes
 * the same bytes. As JSON: what is accepted becomes valid DAG-CBOR, which is a fixed point from then on.
 */
#include "tests/fuzz/fuzz.h"

#include "codec/cbor.h"
#include "codec/json.h"

static struct arena arena;
static struct buf json, cbor, again;

static void from_cbor(struct slice s)
{
	enum json_status status;

	buf_reset(&json);
	status = json_from_cbor(s, &json);
	if (status == JSON_E_DEPTH) {
		MUST(json.n == 0);
		return;
	}
	MUST(status == JSON_OK || status == JSON_INEXACT);
	MUST(utf8_valid(buf_slice(&json)) && !memchr(json.p, 0, json.n));
	if (status != JSON_OK)
		return;
	buf_reset(&cbor);
	MUST(json_to_cbor(buf_slice(&json), &arena, &cbor) == JSON_OK);
	MUST(slice_eq(buf_slice(&cbor), s));
}

static void from_json(struct slice s)
{
	buf_reset(&again);
	if (json_to_cbor(s, &arena, &again) != JSON_OK)
		return;
	MUST(cbor_check(buf_slice(&again), &arena) == CBOR_OK);
	from_cbor(buf_slice(&again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice s = slice_of(data, n);

	arena_reset(&arena);
	if (cbor_check(s, &arena) == CBOR_OK)
		from_cbor(s);
	else
		from_json(s);
	return 0;
}
