/* SPDX-License-Identifier: MIT
 *
 * filter - which operations of an event anybody asked for (source.collections)
 *
 * Owns: nothing. Must not know: the configuration.
 */
#ifndef DOMAIN_FILTER_H
#define DOMAIN_FILTER_H

#include "domain/event.h"

/* Puts operations of collections that fit none of the patterns (an NSID, "prefix.*", or "*") behind the others,
 * where they only count, in e->n_filtered. One without a collection stays: it is a bad path, which becomes a
 * dead letter. Returns how many were dropped. */
uint32_t filter_ops(struct event *e, char *const *patterns, int n_patterns);

#endif
