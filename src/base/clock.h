/* SPDX-License-Identifier: MIT
 *
 * clock - time in microseconds; monotonic for every deadline, wall only for what people read
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_us(void);
/* Since 1970-01-01T00:00:00Z. No safety may rest on it. */
int64_t clock_wall_us(void);

#endif
