/* SPDX-License-Identifier: MIT */
#include "workers/did_place.h"

#include "codec/syntax.h"

#include <stdio.h>

enum { PLC_ID = 24 };

/* What follows the prefix, or nothing. */
static struct slice after(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (s.n <= n || memcmp(s.p, prefix, n) != 0)
		return slice_of(NULL, 0);
	return slice_of(s.p + n, s.n - n);
}

static bool is_plc_id(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!((id.p[i] >= 'a' && id.p[i] <= 'z') || (id.p[i] >= '2' && id.p[i] <= '7')))
			return false;
	return id.n == PLC_ID;
}

/* Host and port of what follows the scheme; the default port if none is given. */
static bool read_authority(const char *rest, const char *port, struct did_place *ret)
{
	bool bracketed = *rest == '[';
	const char *host = bracketed ? rest + 1 : rest;
	size_t n = strcspn(host, bracketed ? "]" : ":/");
	const char *end = host + n + bracketed;

	if (!n || n >= sizeof ret->host)
		return false;
	snprintf(ret->host, sizeof ret->host, "%.*s", (int)n, host);
	if (*end == ':')
		snprintf(ret->port, sizeof ret->port, "%.*s", (int)strcspn(end + 1, "/"), end + 1);
	else
		snprintf(ret->port, sizeof ret->port, "%s", port);
	return true;
}

static int find_plc(struct slice did, const char *plc_url, struct did_place *ret, struct err *err)
{
	const char *rest = strstr(plc_url, "://"), *path;
	int n;

	if (!rest)
		return err_set(err, "identity.plc_url is no URL");
	ret->tls = strncmp(plc_url, "https:", 6) == 0;
	ret->is_plc = true;
	if (!read_authority(rest + 3, ret->tls ? "443" : "80", ret))
		return err_set(err, "identity.plc_url has no host");
	path = strchr(rest + 3, '/');
	n = path ? (int)strlen(path) : 0;
	while (n && path[n - 1] == '/')
		n--;
	snprintf(ret->path, sizeof ret->path, "%.*s/%.*s", n, path ? path : "", SLICE_ARG(did));
	return 0;
}

/* localhost%3APORT */
static bool read_local(struct slice name, struct did_place *ret)
{
	struct slice port = after(name, "localhost%3A");

	if (!port.n || port.n > 5)
		return false;
	for (size_t i = 0; i < port.n; i++)
		if (port.p[i] < '0' || port.p[i] > '9')
			return false;
	snprintf(ret->host, sizeof ret->host, "localhost");
	snprintf(ret->port, sizeof ret->port, "%.*s", SLICE_ARG(port));
	return true;
}

static int find_web(struct slice name, bool allow_loopback, struct did_place *ret, struct err *err)
{
	ret->tls = true;
	snprintf(ret->path, sizeof ret->path, "/.well-known/did.json");
	if (allow_loopback && read_local(name, ret))
		return 0;
	if (!handle_valid(name))
		return err_set(err, "did:web of something else than a host name");
	snprintf(ret->host, sizeof ret->host, "%.*s", SLICE_ARG(name));
	snprintf(ret->port, sizeof ret->port, "443");
	return 0;
}

int did_place_find(
	struct slice did, const char *plc_url, bool allow_loopback, struct did_place *ret, struct err *err)
{
	struct slice plc = after(did, "did:plc:"), web = after(did, "did:web:");

	*ret = (struct did_place){ 0 };
	if (plc.n)
		return is_plc_id(plc) ? find_plc(did, plc_url, ret, err) : err_set(err, "no valid did:plc");
	if (web.n)
		return find_web(web, allow_loopback, ret, err);
	return err_set(err, "neither did:plc nor did:web");
}
