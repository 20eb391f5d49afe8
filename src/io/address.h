/* SPDX-License-Identifier: MIT
 *
 * address - which IP addresses are out in the open, and may be asked on a stranger's word
 *
 * Must not know: names, connections. Source: the IANA special-purpose address registries.
 */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/* False for loopback, private, link-local (with the clouds' metadata services), shared (CGNAT), multicast,
 * unique local, IPv4 in IPv6, documentation and reserved addresses, and for what is no IP address. */
bool address_is_public(const struct sockaddr *address);

#endif
