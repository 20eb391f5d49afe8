/* SPDX-License-Identifier: MIT
 *
 * tap - the few lines a unit test needs: numbered claims on stdout, as meson's tap protocol reads them
 *
 * A test is one claim: ok(condition, "what is true", ...). skip() counts as skipped, never as passed.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_n, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool pass, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", pass ? "" : "not ", ++tap_n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_failed += !pass;
	return pass;
}

__attribute__((format(printf, 1, 2), unused)) static void skip(const char *fmt, ...)
{
	va_list ap;

	printf("ok %d # SKIP ", ++tap_n);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* Folder of shared test vectors given by the runner, or NULL: then those claims are skipped. */
__attribute__((unused)) static const char *shared_dir(void)
{
	const char *dir = getenv("STANDPIPE_SHARED");

	return dir && dir[0] ? dir : NULL;
}

/* Ends the test program: prints the plan, returns the exit code. */
__attribute__((unused)) static int done(void)
{
	printf("1..%d\n", tap_n);
	return tap_failed ? 1 : 0;
}

#endif
