/* SPDX-License-Identifier: MIT
 *
 * vectors - the interop syntax lists: one value per line, "# " comments
 *
 * Lists lie in shared_dir()/fixtures/atproto-interop-tests/syntax; without it the claim is skipped.
 */
#ifndef TESTS_UNIT_VECTORS_H
#define TESTS_UNIT_VECTORS_H

#include "tests/unit/tap.h"

#include "base/slice.h"

/* One claim per list: `valid` says of every line what is wanted. A list without lines fails. */
static void vectors_check(const char *list, bool (*valid)(struct slice), bool wanted)
{
	char path[4096], *line = NULL;
	size_t cap = 0, n_lines = 0, n_wrong = 0;
	ssize_t n;
	FILE *f;

	if (!shared_dir()) {
		skip("%s: no vectors here", list);
		return;
	}
	snprintf(path, sizeof path, "%s/fixtures/atproto-interop-tests/syntax/%s", shared_dir(),
		list);
	f = fopen(path, "r");
	while (f && (n = getline(&line, &cap, f)) >= 0) {
		if (n && line[n - 1] == '\n')
			n--;
		if (n == 0 || (line[0] == '#' && n > 1 && line[1] == ' '))
			continue;
		n_lines++;
		if (valid(slice_of(line, (size_t)n)) != wanted && ++n_wrong)
			printf("# %s: %.*s\n", wanted ? "refused" : "accepted", (int)n, line);
	}
	ok(n_lines && !n_wrong, "%s: %zu lines, all %s", list, n_lines,
		wanted ? "accepted" : "refused");
	free(line);
	if (f)
		fclose(f);
}

#endif
