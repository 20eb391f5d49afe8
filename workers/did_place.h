/* SPDX-License-Identifier: MIT
 *
 * did_place - where the document of a DID is to be had
 *
 * did:plc in the directory that is configured, did:web at https://HOST/.well-known/did.json; only whole host
 * names, as atproto has it: no paths, no ports, no addresses. did:web:localhost%3APORT is for tests.
 * Errors: -1 with why there is no such place. Must not know: connections.
 */
#ifndef WORKERS_DID_PLACE_H
#define WORKERS_DID_PLACE_H

#include "base/err.h"
#include "base/slice.h"

struct did_place {
	bool tls, is_plc;
	char host[256], port[8], path[1024];
};

/* plc_url: http://host[:port][/path] or https://... */
int did_place_find(struct slice did, const char *plc_url, bool allow_loopback, struct did_place *ret,
	struct err *err) NODISCARD;

#endif
