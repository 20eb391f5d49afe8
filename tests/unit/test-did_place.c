/* SPDX-License-Identifier: MIT
 *
 * Where a DID's document is asked for, and which DIDs have no such place.
 */
#include "tests/unit/tap.h"

#include "workers/did_place.h"

#define PLC "did:plc:j3tzahil5n2qx2a4krdjlxsa"

static const struct {
	const char *did, *plc_url, *url; /* NULL: refused */
	bool loopback;
} cases[] = {
	{ PLC, "https://plc.directory", "https://plc.directory:443/" PLC, false },
	{ PLC, "https://plc.directory/", "https://plc.directory:443/" PLC, false },
	{ PLC, "http://127.0.0.1:2582/dids/", "http://127.0.0.1:2582/dids/" PLC, true },
	{ PLC, "http://[::1]:8/x", "http://::1:8/x/" PLC, true },
	{ "did:plc:short", "https://plc.directory", NULL, false },
	{ "did:plc:J3tzahil5n2qx2a4krdjlxsa", "https://plc.directory", NULL, false },
	{ "did:plc:j3tzahil5n2qx2a4krdjlx/a", "https://plc.directory", NULL, false },
	{ "did:web:example.com", "", "https://example.com:443/.well-known/did.json", false },
	{ "did:web:a.b.example.com", "", "https://a.b.example.com:443/.well-known/did.json", false },
	{ "did:web:example.com:user", "", NULL, false },
	{ "did:web:example.com%3A8443", "", NULL, true },
	{ "did:web:localhost%3A8443", "", NULL, false },
	{ "did:web:localhost%3A8443", "", "https://localhost:8443/.well-known/did.json", true },
	{ "did:web:localhost%3A8443%2Fx", "", NULL, true },
	{ "did:web:localhost", "", NULL, true },
	{ "did:web:127.0.0.1", "", NULL, true },
	{ "did:web:169.254.169.254", "", NULL, true },
	{ "did:web:%5B::1%5D", "", NULL, true },
	{ "did:web:user@example.com", "", NULL, true },
	{ "did:web:", "", NULL, true },
	{ "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", "", NULL, true },
};

int main(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct did_place place;
		struct err err = { "" };
		char url[2048];
		int status = did_place_find(slice_str(cases[i].did), cases[i].plc_url, cases[i].loopback, &place, &err);

		snprintf(url, sizeof url, "http%s://%s:%s%s", place.tls ? "s" : "", place.host, place.port, place.path);
		ok(cases[i].url ? status == 0 && strcmp(url, cases[i].url) == 0 : status < 0, "%s%s: %s", cases[i].did,
			cases[i].loopback ? " (loopback allowed)" : "", status ? err.text : url);
	}
	return done();
}
