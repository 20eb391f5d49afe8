/* SPDX-License-Identifier: MIT
 *
 * websocket_lookup - the addresses of a host name, without blocking the loop
 *
 * The system's resolver (hosts file, search domains, DNS over TCP: what evdns lacks) blocks for as
 * long as it likes, so it runs in a throw-away thread that touches nothing but its job and one
 * socket. Owns: the waiting side until the answer or websocket_lookup_cancel; a thread whose answer
 * nobody waits for frees it itself. Must not know: connections.
 */
#ifndef IO_WEBSOCKET_LOOKUP_H
#define IO_WEBSOCKET_LOOKUP_H

struct addrinfo;
struct event_base;
struct websocket_lookup;

/* error: 0 or an EAI_ number; list: to be freed with freeaddrinfo by the callee, NULL on error. */
typedef void websocket_lookup_done(void *ctx, int error, struct addrinfo *list);

/* Begins; NULL: not possible now (no descriptors, no thread). on_done comes from the loop, once. */
struct websocket_lookup *websocket_lookup_start(struct event_base *base, const char *host,
	const char *port, websocket_lookup_done *on_done, void *ctx);
/* on_done will not come. Not to be called after it came; NULL allowed; returns NULL. */
struct websocket_lookup *websocket_lookup_cancel(struct websocket_lookup *l);
/* The look-up itself, in the caller's time; flags as in struct addrinfo. */
int websocket_lookup_now(const char *host, const char *port, int flags, struct addrinfo **ret_list);

#endif
