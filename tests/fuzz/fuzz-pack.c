/* SPDX-License-Identifier: MIT
 *
 * A stream entry: as it is, and with format and checksum put right, which no chance would. What opens,
 * packed again from its parts, opens to the same parts; its events survive being written again.
 */
#include "tests/fuzz/event_claims.h"

#include "codec/pack.h"

enum { MAX_EVENTS = 64 };

/* Events of a pack that opened; the whole of it if the end was reached. */
static void walk(struct slice bytes, struct pack *pack)
{
	static struct arena arena;
	static struct buf again;
	struct pack_prefix prefix = pack->prefix;
	const uint8_t *at = pack->p;
	struct pack_event event, other;
	enum pack_status status;
	struct pack second;
	struct event e;
	struct err err;

	pack_begin(&again);
	while ((status = pack_next(pack, &event)) == PACK_OK) {
		MUST(event.payload.p == at + PACK_EVENT_HEAD && event.payload.p + event.payload.n == pack->p);
		MUST(pack->p <= bytes.p + bytes.n);
		at = pack->p;
		pack_add(&again, event.kind, event.flags, event.seq, event.payload);
		arena_reset(&arena);
		if (event_decode(event.kind, event.flags, event.seq, event.payload, &arena, &e, &err) == 0) {
			must_be_an_event(&e);
			must_survive_a_pack(&e);
		}
	}
	if (status != PACK_END)
		return;
	pack_end(&again, &prefix);
	MUST(again.n == bytes.n);
	MUST(pack_open(buf_slice(&again), &second) == PACK_OK);
	MUST(memcmp(&second.prefix, &prefix, offsetof(struct pack_prefix, n_events)) == 0);
	MUST(second.prefix.n_events == prefix.n_events);
	MUST(pack_open(bytes, pack) == PACK_OK);
	while (pack_next(pack, &event) == PACK_OK) {
		MUST(pack_next(&second, &other) == PACK_OK);
		MUST(other.kind == event.kind && other.flags == event.flags && other.seq == event.seq);
		MUST(slice_eq(other.payload, event.payload));
	}
	MUST(pack_next(&second, &other) == PACK_END);
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct pack pack;
	uint8_t *right;

	if (pack_open(slice_of(data, n), &pack) == PACK_OK)
		walk(slice_of(data, n), &pack);
	if (n < PACK_PREFIX)
		return 0;
	right = malloc(n);
	memcpy(right, data, n);
	put_le32(right, PACK_FORMAT);
	put_le32(right + 4, crc32c(slice_of(right + 8, n - 8)));
	MUST(crc32c(slice_of(right + 8, n - 8)) == crc32c_by_table(slice_of(right + 8, n - 8)));
	MUST(pack_open(slice_of(right, n), &pack) == PACK_OK);
	walk(slice_of(right, n), &pack);
	/* one bit of what the checksum covers: never accepted */
	right[8 + data[n - 1] % (n - 8)] ^= 1;
	MUST(pack_open(slice_of(right, n), &pack) == PACK_E_CRC);
	free(right);
	return 0;
}
