/* SPDX-License-Identifier: MIT
 *
 * identity - signing keys of accounts, as the table standpipe.identities has them, cached per process
 *
 * A cached key is believed for IDENTITY_TTL_US, then read again; the resolver alone asks the network.
 * Owns: the cache, until identities_done. Invariant: what identities_load was asked for stays until the next
 * call of it. Errors: enum pg_class. Must not know: DID documents, what a key is used for.
 */
#ifndef WORKERS_IDENTITY_H
#define WORKERS_IDENTITY_H

#include "codec/sign.h"
#include "io/pg.h"

enum { IDENTITY_TTL_US = 30 * 1000000 };

struct identity {
	struct slice did; /* owned */
	uint64_t hash;
	int64_t loaded_us;
	bool known;	  /* there was a definite answer, with a key or without */
	struct sign_key key; /* loaded, or of curve SIGN_NONE */
};

struct identities {
	struct identity **slots;
	int n, n_slots;
	uint64_t seed;
};

/* Makes dids[0..n) part of the cache, reading those that are not in it or too old; with `fresh` all. */
enum pg_class identities_load(struct identities *ids, struct pg *pg, struct arena *arena, const struct slice *dids,
	int n, bool fresh, struct err *err) NODISCARD;
/* One that was loaded by the last call. */
const struct identity *identities_find(const struct identities *ids, struct slice did);
/* The next load reads it again. */
void identities_forget(struct identities *ids, struct slice did);
void identities_done(struct identities *ids);

#endif
