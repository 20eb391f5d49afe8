/* SPDX-License-Identifier: MIT */
#include "domain/event_field.h"

/* The member of that name, or n_specs. */
static size_t spec_of(struct slice name, const struct field_spec *specs, size_t n_specs)
{
	size_t i = 0;

	while (i < n_specs && !slice_eq(name, slice_of(specs[i].name, specs[i].n_name)))
		i++;
	return i;
}

/* Reads the value at c into field and steps over it. */
static enum cbor_status read_value(struct cbor *c, struct field *field)
{
	struct cbor head = *c;
	enum cbor_status r = cbor_next(c, &field->item);

	if (r == CBOR_OK && (field->item.type == CBOR_ARRAY || field->item.type == CBOR_MAP)) {
		*c = head;
		r = cbor_skip(c);
	}
	if (r)
		return r;
	field->bytes = slice_of(head.p, (size_t)(c->p - head.p));
	field->present = true;
	return CBOR_OK;
}

/* What the flags of one member demand. */
static int check(struct field *field, const struct field_spec *spec, struct err *err)
{
	if (spec->flags == FIELD_ANY)
		return 0;
	if (spec->flags == FIELD_OPTIONAL && field_is(field, CBOR_NULL))
		field->present = false;
	if (!field->present)
		return spec->flags == FIELD_REQUIRED ? err_set(err, "%s: missing", spec->name) : 0;
	if (field->item.type != spec->type)
		return err_set(err, "%s: wrong type", spec->name);
	return 0;
}

int fields_read(struct slice map, const struct field_spec *specs, size_t n_specs,
	struct field *ret_fields, struct err *err)
{
	struct cbor c = cbor_over(map);
	struct cbor_item head;
	struct slice key;

	memset(ret_fields, 0, n_specs * sizeof *ret_fields);
	if (cbor_next(&c, &head) || head.type != CBOR_MAP)
		return err_set(err, "not a map");
	for (uint64_t i = 0; i < head.n; i++) {
		size_t spec;
		enum cbor_status r = cbor_key(&c, &key);

		if (r)
			return err_set(err, "%s", cbor_status_name(r));
		spec = spec_of(key, specs, n_specs);
		r = spec < n_specs ? read_value(&c, &ret_fields[spec]) : cbor_skip(&c);
		if (r)
			return err_set(err, "%s", cbor_status_name(r));
	}
	for (size_t i = 0; i < n_specs; i++)
		if (check(&ret_fields[i], &specs[i], err))
			return -1;
	return 0;
}
