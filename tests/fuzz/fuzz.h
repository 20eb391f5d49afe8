/* SPDX-License-Identifier: MIT
 *
 * fuzz - what every fuzz target has: one entry, and claims that must hold for any bytes
 *
 * A target is one file that defines LLVMFuzzerTestOneInput. Built with -Dfuzz=true it is linked with
 * libFuzzer; in an ordinary build replay.c feeds it tests/fuzz/corpus/NAME, one file after the other.
 * The input is memory of exactly its size, so that a sanitizer sees every step too far.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What must hold; if it does not, the input is a finding. */
#define MUST(claim)                                                                                \
	do {                                                                                       \
		if (!(claim)) {                                                                    \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #claim);        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
