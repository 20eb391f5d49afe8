/* SPDX-License-Identifier: MIT
 *
 * event_field - the members a frame's maps must or may have, as a table, read in one walk
 *
 * Only for event.c, event_commit.c and verify.c. The bytes must have passed cbor_check. Unknown members are
 * ignored. Owns: nothing; fields borrow from the map's bytes.
 * Errors: -1 with "name: missing" or "name: wrong type".
 */
#ifndef DOMAIN_EVENT_FIELD_H
#define DOMAIN_EVENT_FIELD_H

#include "base/err.h"
#include "codec/cbor.h"

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
/* True if the field is there and has that type. */
static inline bool field_is(const struct field *field, enum cbor_type type)
{
	return field->present && field->item.type == type;
}

#endif
