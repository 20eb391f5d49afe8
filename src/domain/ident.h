/* SPDX-License-Identifier: MIT
 *
 * ident - surrogate numbers computed from names, the same in every process, without a round trip
 *
 * An actor's id is the first 63 bits of HMAC-SHA256(installation key, did): a plain hash could be ground
 * for collisions, a keyed one cannot. A record key that is a TID below 2^63 is its own integer; any
 * other becomes -1 - (top 62 bits of the keyed hash), with its text kept beside it.
 * Owns: nothing. bsky.actor_id and bsky.rkey_id compute the same in SQL.
 */
#ifndef DOMAIN_IDENT_H
#define DOMAIN_IDENT_H

#include "base/err.h"
#include "base/slice.h"

struct ident {
	uint64_t inner[16], outer[16]; /* SHA-256 states after the HMAC pads */
};

/* hex: 64 hex digits of the installation key (standpipe.meta). */
int ident_init(struct ident *id, const char *hex, struct err *err) NODISCARD;
int64_t ident_actor(const struct ident *id, struct slice did);
int64_t ident_rkey(const struct ident *id, struct slice rkey);

#endif
