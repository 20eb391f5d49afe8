/* SPDX-License-Identifier: MIT
 *
 * malloc - the failpoint of every allocation, of libraries too: it stands in front of the C library's own
 */
#include "base/failpoint.h"

#include <errno.h>
#include <stddef.h>

/* glibc's, under the names that stay its own. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

static bool fails(void)
{
	int error = errno;
	bool failed = FAILPOINT(malloc);

	errno = failed ? ENOMEM : error;
	return failed;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
