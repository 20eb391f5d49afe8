/* SPDX-License-Identifier: MIT
 *
 * err - one error message, composed once where it happened
 *
 * Contract used everywhere: 0 is success; a negative return is fatal to the call and is passed on
 * unchanged with its `struct err`; a positive return is an enum documented in the called module's
 * header and must be handled by the caller. Libraries fill a struct err, they never log.
 * Owns: nothing; the caller provides the storage. Must not know: any other module.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

struct err {
	char text[512];
};

/* Replaces the message. Returns -1, so that callers can `return err_set(...)`. */
int err_set(struct err *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts "context: " before the message that is there. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

#endif
