/* SPDX-License-Identifier: MIT */
#include "io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* The first bits of what is not public. */
struct range {
	uint8_t prefix[16];
	uint8_t n_bits;
};

static const struct range not_public_v4[] = {
	{ { 0 }, 8 },		   /* this network */
	{ { 10 }, 8 },		   /* private */
	{ { 100, 64 }, 10 },	   /* shared: carrier-grade NAT */
	{ { 127 }, 8 },		   /* loopback */
	{ { 169, 254 }, 16 },	   /* link-local, metadata */
	{ { 172, 16 }, 12 },	   /* private */
	{ { 192, 0, 0 }, 24 },	   /* protocol assignments */
	{ { 192, 0, 2 }, 24 },	   /* documentation */
	{ { 192, 88, 99 }, 24 },   /* 6to4 relays */
	{ { 192, 168 }, 16 },	   /* private */
	{ { 198, 18 }, 15 },	   /* benchmarks */
	{ { 198, 51, 100 }, 24 },  /* documentation */
	{ { 203, 0, 113 }, 24 },   /* documentation */
	{ { 224 }, 3 },		   /* multicast, reserved, broadcast */
};

/* Of IPv6 only what is assigned (2000::/3) can be public at all; these parts of it are not. */
static const struct range not_public_v6[] = {
	{ { 0x20, 0x01, 0x00 }, 23 },		 /* Teredo, ORCHID, documentation of protocols */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 },	 /* documentation */
	{ { 0x20, 0x02 }, 16 },			 /* 6to4: an IPv4 address inside */
	{ { 0x3f, 0xff, 0x00 }, 20 },		 /* documentation */
};

static bool in_range(const uint8_t *address, const struct range *range)
{
	size_t n_bytes = range->n_bits / 8, n_bits = range->n_bits % 8;

	if (memcmp(address, range->prefix, n_bytes) != 0)
		return false;
	return n_bits == 0 || (address[n_bytes] ^ range->prefix[n_bytes]) >> (8 - n_bits) == 0;
}

static bool in_any(const uint8_t *address, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (in_range(address, &ranges[i]))
			return true;
	return false;
}

bool address_is_public(const struct sockaddr *address)
{
	uint8_t bytes[16];

	if (address->sa_family == AF_INET) {
		memcpy(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
		return !in_any(bytes, not_public_v4, sizeof not_public_v4 / sizeof *not_public_v4);
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
	return bytes[0] >> 5 == 1 && !in_any(bytes, not_public_v6, sizeof not_public_v6 / sizeof *not_public_v6);
}
