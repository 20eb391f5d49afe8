/* SPDX-License-Identifier: MIT
 *
 * tid - timestamp identifiers: 13 characters of base32-sortable for 64 bits, the top bit 0 in valid ones
 *
 * Source: atproto.com/specs/tid. First character 2..j; 53 bits microseconds, 10 bits clock id.
 */
#ifndef CODEC_TID_H
#define CODEC_TID_H

#include "base/slice.h"

enum { TID_TEXT = 13 };

/* False unless s is a syntactically valid TID (first character 2..j); the value may reach 2^64-1. */
bool tid_parse(struct slice s, uint64_t *ret_value);
/* 13 characters and a NUL; the inverse of tid_parse. */
void tid_format(uint64_t value, char ret_text[TID_TEXT + 1]);
/* Microseconds since 1970 that the TID claims. */
static inline int64_t tid_time_us(uint64_t value)
{
	return (int64_t)((value & INT64_MAX) >> 10);
}

#endif
