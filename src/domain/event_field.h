/* SPDX-License-Identifier: MIT
 *
 * event_field - the members a frame's maps must or may have, as a table, read in one walk
 *
 * Only for event.c, event_commit.c and verify.c. The bytes must have passed cbor_check. Unknown members are
 * ignored. Owns: nothing; fields borrow from the map's bytes.
 * Invariant: a table is in the order of a map's keys, shorter names first, then bytewise.
 * Errors: -1 with "name: missing" or "name: wrong type".
 */
#ifndef DOMAIN_EVENT_FIELD_H
#define DOMAIN_EVENT_FIELD_H

#include "codec/cbor.h"
#include "domain/event.h"

enum field_flags {
	FIELD_REQUIRED = 1, /* absent or of another type: an error */
	FIELD_OPTIONAL = 2, /* absent or null: as if absent; of another type: an error */
	FIELD_ANY = 4,	    /* never an error; the reader looks at item.type */
};

struct field_spec {
	const char *name;
	size_t n_name;
	enum cbor_type type;
	enum field_flags flags;
};

#define FIELD(name, type, flags) { name, sizeof(name) - 1, type, flags }

struct field {
	bool present;
	struct cbor_item item; /* the value's head */
	struct slice bytes;    /* the whole value */
};

/* Looks the members of specs up in a map; the i-th one goes to ret_fields[i]. */
int fields_read(struct slice map, const struct field_spec *specs, size_t n_specs,
	struct field *ret_fields, struct err *err) NODISCARD;
/* The same for the map that c begins with; c then stands behind it, or, if it is no map, where it was. */
int fields_take(struct cbor *c, const struct field_spec *specs, size_t n_specs, struct field *ret_fields,
	struct err *err) NODISCARD;
/* What the body of every numbered message has: its place, the account (called did_name there) and the time. */
int fields_common(const struct field *seq, const struct field *did, const struct field *time,
	const char *did_name, struct event *e, struct err *err) NODISCARD;
/* A legal seq, else 0. */
uint64_t field_seq(const struct cbor_item *seq);
/* True if the field is there and has that type. */
static inline bool field_is(const struct field *field, enum cbor_type type)
{
	return field->present && field->item.type == type;
}

#endif
