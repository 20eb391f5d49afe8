/* SPDX-License-Identifier: MIT */
#include "io/pg_private.h"

#include <assert.h>

/* The binary form (array_recv): number of dimensions, null flag, element type, then per dimension length
 * and lower bound; then each element as length (-1 = null) and bytes. All integers are big-endian. */
enum { HEAD_BYTES = 20, HEAD_BYTES_EMPTY = 12, LENGTH_BYTES = 4 };

/* PostgreSQL refuses to allocate more for one value. */
static const size_t array_max_bytes = 0x3fffffff;
/* 2000-01-01 in Unix time: where timestamptz begins to count. */
static const int64_t pg_epoch_us = 946684800000000;

static const struct {
	const char *sql;
	uint32_t oid;
	uint8_t n_bytes; /* 0: as long as the value */
} types[N_PG_TYPES] = {
	[PG_INT2] = { "smallint", 21, 2 },
	[PG_INT4] = { "integer", 23, 4 },
	[PG_INT8] = { "bigint", 20, 8 },
	[PG_TEXT] = { "text", 25, 0 },
	[PG_BYTEA] = { "bytea", 17, 0 },
	[PG_JSONB] = { "jsonb", 3802, 0 },
	[PG_TIMESTAMPTZ] = { "timestamptz", 1184, 8 },
	[PG_BOOL] = { "boolean", 16, 1 },
};

const char *pg_type_sql(enum pg_type type)
{
	return types[type].sql;
}

/* Stores the low n bytes of v, most significant first. */
static void put_be(uint8_t *p, uint64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

/* Makes room for n more bytes and returns where they go. */
static uint8_t *extend(struct pg_array *a, size_t n_bytes)
{
	uint8_t *at;

	assert(n_bytes <= array_max_bytes && a->len + n_bytes <= array_max_bytes);
	if (a->len + n_bytes > a->cap) {
		size_t cap = a->cap * 2 > a->expected ? a->cap * 2 : a->expected;
		uint8_t *p;

		if (cap < a->len + n_bytes)
			cap = a->len + n_bytes;
		p = arena_alloc(a->arena, cap);
		memcpy(p, a->p, a->len);
		a->p = p;
		a->cap = cap;
	}
	at = a->p + a->len;
	a->len += n_bytes;
	return at;
}

void pg_array_init(struct pg_array *a, enum pg_type type, struct arena *arena, int n_hint)
{
	size_t each = LENGTH_BYTES + (types[type].n_bytes ? types[type].n_bytes : 32u);
	size_t n = n_hint > 0 ? (size_t)n_hint : 0;

	assert(n <= array_max_bytes / each);
	/* room for the elements is taken when there is one: many columns of a batch hold nothing but NULL */
	*a = (struct pg_array){ .type = type, .arena = arena, .len = HEAD_BYTES, .cap = HEAD_BYTES };
	a->expected = HEAD_BYTES + n * each;
	a->p = arena_alloc(arena, HEAD_BYTES);
}

void pg_array_null(struct pg_array *a)
{
	a->n_nulls++;
}

/* An element follows: the NULLs before it count. */
static void put_nulls(struct pg_array *a)
{
	for (; a->n_nulls; a->n_nulls--, a->n++) {
		put_be(extend(a, LENGTH_BYTES), UINT32_MAX, LENGTH_BYTES);
		a->has_null = true;
	}
}

/* Appends one element of the type's fixed width. */
static void add_fixed(struct pg_array *a, int64_t v)
{
	uint8_t n_bytes = types[a->type].n_bytes;
	uint8_t *p;

	put_nulls(a);
	p = extend(a, LENGTH_BYTES + (size_t)n_bytes);
	put_be(p, n_bytes, LENGTH_BYTES);
	put_be(p + LENGTH_BYTES, (uint64_t)v, n_bytes);
	a->n++;
}

void pg_array_int(struct pg_array *a, int64_t v)
{
	switch (a->type) {
	case PG_INT2:
		assert(v >= INT16_MIN && v <= INT16_MAX);
		break;
	case PG_INT4:
		assert(v >= INT32_MIN && v <= INT32_MAX);
		break;
	case PG_BOOL:
		assert(v == 0 || v == 1);
		break;
	default:
		assert(a->type == PG_INT8);
	}
	add_fixed(a, v);
}

void pg_array_time(struct pg_array *a, int64_t unix_us)
{
	int64_t us = 0;
	bool overflow = __builtin_sub_overflow(unix_us, pg_epoch_us, &us);

	assert(a->type == PG_TIMESTAMPTZ && !overflow);
	add_fixed(a, us);
}

void pg_array_bytes(struct pg_array *a, struct slice s)
{
	size_t version = a->type == PG_JSONB; /* jsonb_recv wants the version byte 1 first */
	uint8_t *p;

	assert(types[a->type].n_bytes == 0 && s.n <= array_max_bytes);
	put_nulls(a);
	p = extend(a, LENGTH_BYTES + version + s.n);
	put_be(p, s.n + version, LENGTH_BYTES);
	p += LENGTH_BYTES;
	if (version)
		*p++ = 1;
	if (s.n)
		memcpy(p, s.p, s.n);
	a->n++;
}

const char *pg_array_close(const struct pg_array *a, int *ret_n_bytes)
{
	/* an array without elements has no dimensions; ours begins with the dimension's place reserved */
	put_be(a->p, a->n > 0, 4);
	put_be(a->p + 4, a->has_null, 4);
	put_be(a->p + 8, types[a->type].oid, 4);
	put_be(a->p + 12, (uint64_t)a->n, 4);
	put_be(a->p + 16, 1, 4);
	*ret_n_bytes = a->n > 0 ? (int)a->len : HEAD_BYTES_EMPTY;
	return (const char *)a->p;
}
