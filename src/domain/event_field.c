/* SPDX-License-Identifier: MIT */
#include "domain/event_field.h"

#include "codec/datetime.h"
#include "codec/syntax.h"

#define SEQ_MAX (((uint64_t)1 << 53) - 1)

/* The order of a map's keys: shorter first, then bytewise. */
static int key_order(struct slice key, const struct field_spec *spec)
{
	if (key.n != spec->n_name)
		return key.n < spec->n_name ? -1 : 1;
	return memcmp(key.p, spec->name, key.n);
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

/* Map and table have one order, so that each member is held against few names. */
static enum cbor_status read_members(struct cbor *c, uint64_t n_members, const struct field_spec *specs,
	size_t n_specs, struct field *ret_fields)
{
	size_t next = 0;

	for (uint64_t i = 0; i < n_members; i++) {
		int order = -1;
		struct slice key;
		enum cbor_status r = cbor_key(c, &key);

		if (r)
			return r;
		while (next < n_specs && (order = key_order(key, &specs[next])) > 0)
			next++;
		r = next < n_specs && order == 0 ? read_value(c, &ret_fields[next]) : cbor_skip(c);
		if (r)
			return r;
	}
	return CBOR_OK;
}

int fields_take(struct cbor *c, const struct field_spec *specs, size_t n_specs, struct field *ret_fields,
	struct err *err)
{
	struct cbor at = *c;
	struct cbor_item head;
	enum cbor_status r;

	memset(ret_fields, 0, n_specs * sizeof *ret_fields);
	if (cbor_next(&at, &head) || head.type != CBOR_MAP)
		return err_set(err, "not a map");
	r = read_members(&at, head.n, specs, n_specs, ret_fields);
	if (r)
		return err_set(err, "%s", cbor_status_name(r));
	*c = at;
	for (size_t i = 0; i < n_specs; i++)
		if (check(&ret_fields[i], &specs[i], err))
			return -1;
	return 0;
}

int fields_read(struct slice map, const struct field_spec *specs, size_t n_specs,
	struct field *ret_fields, struct err *err)
{
	struct cbor c = cbor_over(map);

	return fields_take(&c, specs, n_specs, ret_fields, err);
}

uint64_t field_seq(const struct cbor_item *seq)
{
	return seq->type == CBOR_UINT && seq->n <= SEQ_MAX ? seq->n : 0;
}

int fields_common(const struct field *seq, const struct field *did, const struct field *time,
	const char *did_name, struct event *e, struct err *err)
{
	e->seq = field_seq(&seq->item);
	if (!e->seq)
		return err_set(err, "seq: not in 1..2^53-1");
	if (!did_valid(did->item.s))
		return err_set(err, "%s: not a DID", did_name);
	e->did = did->item.s;
	if (!datetime_parse(time->item.s, &e->time_us))
		e->time_us = 0;
	return 0;
}
