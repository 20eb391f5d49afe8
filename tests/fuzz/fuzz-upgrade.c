/* SPDX-License-Identifier: MIT
 *
 * The HTTP upgrade, from both ends. As an answer: how it was cut on its way changes nothing, and only one
 * that accepts our key opens the connection. As a URL: nothing in it gets out of its line of the request.
 */
#include "tests/fuzz/fuzz.h"

#include "io/websocket_upgrade.h"

/* What one way of feeding an answer led to. */
struct outcome {
	enum upgrade_status status;
	int http_status, retry_after_s;
	size_t used;
};

static struct outcome feed(struct slice answer, size_t step)
{
	static const uint8_t nonce[UPGRADE_NONCE];
	struct outcome out = {.status = UPGRADE_MORE};
	struct websocket_upgrade u = {0};
	struct err err = {""};
	size_t at = 0;

	websocket_upgrade_begin(&u, nonce);
	while (out.status == UPGRADE_MORE && at < answer.n) {
		size_t n = answer.n - at < step ? answer.n - at : step, used = 0;

		out.status = websocket_upgrade_feed(&u, slice_of(answer.p + at, n), &used, &err);
		MUST(used <= n && (out.status != UPGRADE_MORE || used == n));
		at += used;
	}
	out.http_status = u.http_status;
	out.retry_after_s = u.retry_after_s;
	out.used = at;
	MUST(out.retry_after_s >= 0 && out.retry_after_s <= UPGRADE_MAX_RETRY_S && at <= UPGRADE_MAX_ANSWER);
	if (out.status == UPGRADE_OK)
		MUST(out.http_status == 101 && memmem(answer.p, at, u.accept, strlen(u.accept)));
	MUST(out.status <= UPGRADE_MORE || err.text[0]);
	websocket_upgrade_done(&u);
	return out;
}

static void check_url(struct slice text)
{
	static const char asked[] = "GET ";
	struct websocket_upgrade u = {0};
	static const uint8_t nonce[UPGRADE_NONCE];
	static struct buf request;
	struct websocket_url url;
	char *copy = malloc(text.n + 1);
	int n_lines = 0;

	memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	if (websocket_url_parse(copy, &url)) {
		buf_reset(&request);
		websocket_upgrade_begin(&u, nonce);
		websocket_upgrade_request(&u, &url, &request);
		for (size_t i = 0; i < request.n; i++)
			n_lines += request.p[i] == '\n';
		MUST(n_lines == 8 && memcmp(request.p, asked, sizeof asked - 1) == 0);
		MUST(memcmp(request.p + request.n - 4, "\r\n\r\n", 4) == 0);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct outcome whole, cut;

	if (n == 0)
		return 0;
	whole = feed(slice_of(data + 1, n - 1), SIZE_MAX);
	cut = feed(slice_of(data + 1, n - 1), 1 + data[0] % 16);
	MUST(whole.status == cut.status && whole.http_status == cut.http_status);
	MUST(whole.retry_after_s == cut.retry_after_s && whole.used == cut.used);
	check_url(slice_of(data + 1, n - 1));
	return 0;
}
