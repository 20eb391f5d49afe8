/* SPDX-License-Identifier: MIT
 *
 * Nothing that is not out in the open is asked, whatever way the address is written.
 */
#include "tests/unit/tap.h"

#include "io/fetch.h"

#include <event2/event.h>

static void on_done(void *ctx, const struct fetch_answer *answer)
{
	struct fetch_answer *ret = ctx;

	*ret = *answer;
}

static struct fetch_answer fetch(struct event_base *base, struct fetcher *fetcher, const char *host)
{
	const struct fetch_target target = { .tls = true, .host = host, .port = "443", .path = "/", .max_per_address = 1 };
	struct fetch_answer answer = { .result = FETCH_ANSWER };

	fetch_start(fetcher, &target, on_done, &answer);
	event_base_dispatch(base);
	return answer;
}

int main(void)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "10.1.2.3",
		"100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "224.0.0.1", "::1", "::", "::ffff:10.0.0.1",
		"::ffff:8.8.8.8", "fd00:ec2::254", "fe80::1", "64:ff9b::a00:1" };
	struct event_base *base = event_base_new();
	struct fetcher *fetcher = NULL;
	struct err err = { "" };

	if (!ok(base && fetcher_new(base, false, &fetcher, &err) == 0, "a fetcher can be made %s", err.text))
		return done();
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		struct fetch_answer answer = fetch(base, fetcher, hosts[i]);

		ok(answer.result == FETCH_REFUSED && strstr(answer.err.text, "not public"), "%s is refused: %s", hosts[i],
			answer.err.text);
	}
	fetcher_free(fetcher);
	event_base_free(base);
	return done();
}
