/* SPDX-License-Identifier: MIT
 *
 * resolver_store - what the resolver reads from and writes to PostgreSQL
 *
 * Owns: an arena for parameters. Answers that cannot be written are lost: what was claimed becomes due again by
 * itself. Errors: enum pg_class. Must not know: how a document is fetched.
 */
#ifndef WORKERS_RESOLVER_STORE_H
#define WORKERS_RESOLVER_STORE_H

#include "codec/sign.h"
#include "io/conf.h"
#include "io/pg.h"

struct did_answer {
	struct slice did, asked_at; /* by PostgreSQL's clock, as text */
	bool definite; /* there is a document, or there is none: else nobody answered */
	struct sign_key key; /* of curve SIGN_NONE: none */
	struct slice pds, handle;
	struct err err; /* "" if there is a key */
};

struct resolver_store {
	bool connected;
	struct arena arena;
};

enum pg_class resolver_store_connect(struct resolver_store *s, struct pg *pg, struct err *err) NODISCARD;
/* Up to max DIDs that are due, each with the time now; for a while they are not due any more. */
enum pg_class resolver_store_claim(struct pg *pg, int max, struct pg_result **ret, struct err *err) NODISCARD;
/* Writes all in one transaction. */
enum pg_class resolver_store_write(struct resolver_store *s, struct pg *pg, const struct conf *conf,
	const struct did_answer *const *answers, int n, struct err *err) NODISCARD;
void resolver_store_done(struct resolver_store *s);

#endif
