/* SPDX-License-Identifier: MIT
 *
 * fetch - one small document over https, from an address that may be asked on a stranger's word
 *
 * The name is looked up once; if any of its addresses is not public, nothing is asked. The connection goes to
 * one of the addresses found, never to what another look-up might say, with the name in SNI and certificate.
 * No redirect is followed, no proxy asked. At most FETCH_MAX_BYTES, FETCH_TIMEOUT_S in all.
 * Owns: a running fetch frees itself after on_done, or with fetch_cancel. Errors: enum fetch_result.
 * Must not know: DIDs, documents.
 */
#ifndef IO_FETCH_H
#define IO_FETCH_H

#include "base/err.h"
#include "base/slice.h"

enum { FETCH_MAX_BYTES = 65536, FETCH_TIMEOUT_S = 5 };

enum fetch_result {
	FETCH_ANSWER,  /* http_status and body */
	FETCH_REFUSED, /* asking again would not help: no public address, no such name, too large */
	FETCH_FAILED,  /* no answer this time */
};

struct fetch_answer {
	enum fetch_result result;
	int http_status;
	struct slice body; /* borrowed */
	struct err err;
};

struct fetch_target {
	bool tls;
	const char *host, *port, *path; /* copied; path begins with a slash */
	int max_per_address; /* fetches at one address at the same time */
};

typedef void fetch_done(void *ctx, const struct fetch_answer *answer);

struct event_base;
struct fetcher;
struct fetch;

/* any_address: private ones too, for tests. */
int fetcher_new(struct event_base *base, bool any_address, struct fetcher **ret, struct err *err) NODISCARD;
/* Cancels what is under way. */
struct fetcher *fetcher_free(struct fetcher *fetcher);
/* on_done comes once, from the loop, never from here. */
struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_target *target, fetch_done *on_done, void *ctx);
/* on_done will not come. */
void fetch_cancel(struct fetch *fetch);

#endif
