/* SPDX-License-Identifier: MIT */
#include "codec/tid.h"

static const char alphabet[] = "234567abcdefghijklmnopqrstuvwxyz";

/* The 5 bits a character stands for, or 32 and more if it is none of the alphabet. */
static inline unsigned digit_of(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 6u;
	return c >= '2' && c <= '7' ? c - '2' + 0u : 32u;
}

bool tid_parse(struct slice s, uint64_t *ret_value)
{
	uint64_t value = 0;
	unsigned seen = 0;

	if (s.n != TID_TEXT || digit_of(s.p[0]) > 15)
		return false;
	for (size_t i = 0; i < TID_TEXT; i++) {
		unsigned digit = digit_of(s.p[i]);

		seen |= digit;
		value = value << 5 | (digit & 31);
	}
	if (seen > 31)
		return false;
	*ret_value = value;
	return true;
}

void tid_format(uint64_t value, char ret_text[TID_TEXT + 1])
{
	for (size_t i = TID_TEXT; i-- > 0; value >>= 5)
		ret_text[i] = alphabet[value & 31];
	ret_text[TID_TEXT] = 0;
}
