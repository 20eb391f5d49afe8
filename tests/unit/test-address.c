/* SPDX-License-Identifier: MIT
 *
 * Addresses on both sides of each border of what may be asked.
 */
#include "tests/unit/tap.h"

#include "io/address.h"

#include <arpa/inet.h>

static const struct {
	const char *text;
	bool is_public;
} addresses[] = {
	{ "0.0.0.0", false }, { "0.255.255.255", false }, { "1.0.0.0", true }, { "8.8.8.8", true },
	{ "9.255.255.255", true }, { "10.0.0.0", false }, { "10.255.255.255", false }, { "11.0.0.0", true },
	{ "100.63.255.255", true }, { "100.64.0.0", false }, { "100.127.255.255", false }, { "100.128.0.0", true },
	{ "126.255.255.255", true }, { "127.0.0.1", false }, { "127.255.255.255", false }, { "128.0.0.0", true },
	{ "169.253.255.255", true }, { "169.254.0.0", false }, { "169.254.169.254", false }, { "169.255.0.0", true },
	{ "172.15.255.255", true }, { "172.16.0.0", false }, { "172.31.255.255", false }, { "172.32.0.0", true },
	{ "192.0.0.1", false }, { "192.0.1.0", true }, { "192.0.2.1", false }, { "192.167.255.255", true },
	{ "192.168.0.0", false }, { "192.168.255.255", false }, { "192.169.0.0", true }, { "198.17.255.255", true },
	{ "198.18.0.0", false }, { "198.19.255.255", false }, { "198.20.0.0", true }, { "198.51.100.7", false },
	{ "203.0.113.7", false }, { "223.255.255.255", true }, { "224.0.0.1", false }, { "240.0.0.1", false },
	{ "255.255.255.255", false }, { "::", false }, { "::1", false }, { "::ffff:8.8.8.8", false },
	{ "::ffff:127.0.0.1", false }, { "64:ff9b::8.8.8.8", false }, { "64:ff9b:1::1", false }, { "100::1", false },
	{ "1fff::1", false }, { "2000::1", true }, { "2001::1", false }, { "2001:1ff::1", false }, { "2001:200::1", true },
	{ "2001:db8::1", false }, { "2001:db9::1", true }, { "2002:7f00:1::", false }, { "2003::1", true },
	{ "2606:4700::1111", true }, { "3ffe::1", true }, { "3fff::1", false }, { "3fff:1000::1", true }, { "4000::1", false },
	{ "fc00::1", false }, { "fd00:ec2::254", false }, { "fe80::1", false }, { "fec0::1", false }, { "ff02::1", false },
};

static bool is_public(const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return address_is_public((const struct sockaddr *)&v4);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
		printf("# not an address: %s\n", text);
	return address_is_public((const struct sockaddr *)&v6);
}

int main(void)
{
	struct sockaddr other = { .sa_family = AF_UNIX };

	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
		ok(is_public(addresses[i].text) == addresses[i].is_public, "%s is %s", addresses[i].text,
			addresses[i].is_public ? "public" : "refused");
	ok(!address_is_public(&other), "a unix socket is no public address");
	return done();
}
