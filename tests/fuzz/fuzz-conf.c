/* SPDX-License-Identifier: MIT
 *
 * A configuration file: it is refused with a line that says why, or what `standpipe config` prints of it is
 * accepted again and says the same.
 */
#include "tests/fuzz/fuzz.h"

#include "io/conf.h"

/* A refusal names the file in every line. */
static void must_explain(const struct buf *problems)
{
	MUST(problems->n > 0 && problems->p[problems->n - 1] == '\n');
	MUST(memcmp(problems->p, "fuzz", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct buf problems, first, second;
	struct conf *conf, *again;

	buf_reset(&problems);
	conf = conf_parse(slice_of(data, n), "fuzz", &problems);
	if (!conf) {
		must_explain(&problems);
		return 0;
	}
	buf_reset(&first);
	buf_reset(&second);
	conf_print(conf, true, &first);
	again = conf_parse(buf_slice(&first), "fuzz", &problems);
	MUST(again);
	conf_print(again, true, &second);
	MUST(slice_eq(buf_slice(&first), buf_slice(&second)));
	buf_reset(&second);
	MUST(conf_diff(conf, again, &second) == 0 && second.n == 0);
	conf_free(again);
	buf_reset(&second);
	conf_print(conf, false, &second);
	again = conf_parse(buf_slice(&second), "fuzz", &problems);
	MUST(again);
	conf_free(again);
	conf_free(conf);
	return 0;
}
