/* SPDX-License-Identifier: MIT
 *
 * confine - what a process can no longer do, whoever gets hold of it through the bytes it parses
 *
 * Deny lists, not allow lists: a call that a library begins to use tomorrow must not end the pipeline. What is denied
 * is what none of our roles has a use for, and what would be worth most to somebody else: another program, another
 * process's memory, files, kernel interfaces. It fails with EPERM. The table is in confine.c.
 * Owner of libseccomp. Owns: nothing. What is confined stays so for the life of the process and of its children.
 * Must not know: what a role does.
 */
#ifndef IO_CONFINE_H
#define IO_CONFINE_H

#include "base/err.h"

/* No core file, and nobody but root reads the memory: secrets stay where they are. */
void confine_memory(void);
/* The system calls of a role; one that is not in the table gets what all have. -1: the kernel will not. */
int confine_calls(const char *role, struct err *err) NODISCARD;

#endif
