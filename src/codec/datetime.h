/* SPDX-License-Identifier: MIT
 *
 * datetime - the datetime strings of records, parsed by us so that no raw text reaches PostgreSQL
 *
 * Accepts the atproto profile (RFC 3339 with 'T', seconds, optional fraction, 'Z' or +hh:mm; not
 * -00:00; years 0000..9999, in UTC too; no leap second; at most 64 characters). Anything else is data
 * without a time. Fractions beyond the microsecond are cut off.
 */
#ifndef CODEC_DATETIME_H
#define CODEC_DATETIME_H

#include "base/slice.h"

enum { DATETIME_TEXT = 24 };

/* Microseconds since 1970-01-01T00:00:00Z. False if s is no valid datetime. */
bool datetime_parse(struct slice s, int64_t *ret_us);
/* "YYYY-MM-DDTHH:MM:SS.mmmZ", cutting microseconds to milliseconds; outside those years: the nearest
 * moment. */
void datetime_format(int64_t us, char ret_text[DATETIME_TEXT + 1]);
/* True if s is exactly what datetime_format would print for it: then the number alone gives it back.
 * False in year 0000, which PostgreSQL calls 1 BC. */
bool datetime_canonical(struct slice s, int64_t *ret_us);

#endif
