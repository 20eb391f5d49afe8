/* SPDX-License-Identifier: MIT
 *
 * pack - the content of one stream entry: a fixed prefix, then events, each skippable by its length
 *
 * Prefix, little-endian, PACK_PREFIX bytes; Lua reads it with
 * struct.unpack("<I4I4I8I8I8I8I8I8I8I8I8I4I4", payload):
 *	u32 format          PACK_FORMAT; a reader of format n also takes n-1
 *	u32 crc32c          of every byte after this field
 *	u64 prev_epoch, prev_seq    the stream head this pack was appended after
 *	u64 epoch, first_seq, last_seq   last_seq is the entry id's second half
 *	u64 first_ordinal   number of events ever appended before this pack
 *	u64 first_byte      number of pack bytes ever appended before this pack
 *	u64 received_us     wall clock when the first event of the pack was received
 *	u64 source_time_us  time field of the last event, 0 if unknown
 *	u32 n_events, u32 reserved (0)
 * Event: u8 kind, u8 flags, u16 reserved (0), u32 payload bytes, u64 seq, payload.
 * Invariant: n_events may be 0 (kind `skip` is an entry that only moves the head).
 * Must not know: what a payload means (domain/event does).
 */
#ifndef CODEC_PACK_H
#define CODEC_PACK_H

#include "base/buf.h"

enum {
	PACK_FORMAT = 1,
	PACK_PREFIX = 88,
	PACK_EVENT_HEAD = 16,
	/* One jemalloc size class (20 480) with Redis's entry overhead: the cheapest size measured. */
	PACK_CLOSE_BYTES = 20200,
};

struct pack_prefix {
	uint64_t prev_epoch, prev_seq;
	uint64_t epoch, first_seq, last_seq;
	uint64_t first_ordinal, first_byte;
	uint64_t received_us, source_time_us;
	uint32_t n_events;
};

struct pack_event {
	uint8_t kind, flags;
	uint64_t seq;
	struct slice payload;
};

enum pack_status {
	PACK_OK = 0,
	PACK_END,	   /* pack_next: no more events */
	PACK_E_TRUNCATED,
	PACK_E_FORMAT,	   /* a format this program does not know */
	PACK_E_CRC,
	PACK_E_COUNT,	   /* n_events does not agree with the bytes */
	N_PACK_STATUS
};

struct pack {
	struct pack_prefix prefix;
	const uint8_t *p, *end;
	uint32_t n_left;
};

const char *pack_status_name(enum pack_status status);
uint32_t crc32c(struct slice s);
/* The same without the processor's instruction; crc32c falls back on it. */
uint32_t crc32c_by_table(struct slice s);

/* Building: begin writes a prefix to be completed by pack_end. `out` is reset first. */
void pack_begin(struct buf *out);
void pack_add(struct buf *out, uint8_t kind, uint8_t flags, uint64_t seq, struct slice payload);
/* Fills in the prefix (n_events as counted by the caller) and the checksum. */
void pack_end(struct buf *out, const struct pack_prefix *prefix);

/* Reading: checks length, format and checksum; events borrow from bytes. */
enum pack_status pack_open(struct slice bytes, struct pack *ret_pack) NODISCARD;
enum pack_status pack_next(struct pack *pack, struct pack_event *ret_event) NODISCARD;

#endif
