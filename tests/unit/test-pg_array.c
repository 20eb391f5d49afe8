/* SPDX-License-Identifier: MIT */
#include "io/pg_private.h"

#include "tap.h"

/* The bytes that would be sent, compared with what array_recv of PostgreSQL documents. */
static bool sends(const struct pg_array *a, const char *expected, size_t n_expected)
{
	int n;
	const char *p = pg_array_close(a, &n);

	if (n == (int)n_expected && memcmp(p, expected, n_expected) == 0)
		return true;
	printf("# got");
	for (int i = 0; i < n; i++)
		printf(" %02x", (unsigned char)p[i]);
	printf("\n");
	return false;
}

#define SENDS(a, literal) sends(a, literal, sizeof literal - 1)

static void test_fixed(struct arena *arena)
{
	struct pg_array a;

	pg_array_init(&a, PG_INT8, arena, 0);
	ok(SENDS(&a, "\0\0\0\0\0\0\0\0\0\0\0\x14"), "an empty bigint[] has no dimension");
	pg_array_int(&a, -2);
	pg_array_null(&a);
	pg_array_int(&a, INT64_MAX);
	ok(SENDS(&a, "\0\0\0\1\0\0\0\1\0\0\0\x14\0\0\0\3\0\0\0\1"
		     "\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe"
		     "\xff\xff\xff\xff"
		     "\0\0\0\x08\x7f\xff\xff\xff\xff\xff\xff\xff"),
		"bigint[]: big-endian values, null as length -1, the null flag set");
	pg_array_init(&a, PG_INT2, arena, 4);
	pg_array_int(&a, -1);
	ok(SENDS(&a, "\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\2\xff\xff"), "smallint[]");
	pg_array_init(&a, PG_INT4, arena, 4);
	pg_array_int(&a, 0x01020304);
	ok(SENDS(&a, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\4\1\2\3\4"), "integer[]");
	pg_array_init(&a, PG_BOOL, arena, 4);
	pg_array_int(&a, 1);
	pg_array_int(&a, 0);
	ok(SENDS(&a, "\0\0\0\1\0\0\0\0\0\0\0\x10\0\0\0\2\0\0\0\1\0\0\0\1\1\0\0\0\1\0"), "boolean[]");
	pg_array_init(&a, PG_TIMESTAMPTZ, arena, 1);
	pg_array_time(&a, 946684800000001);
	pg_array_time(&a, 946684799999999);
	ok(SENDS(&a, "\0\0\0\1\0\0\0\0\0\0\x04\xa0\0\0\0\2\0\0\0\1"
		     "\0\0\0\x08\0\0\0\0\0\0\0\1"
		     "\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xff"),
		"timestamptz[] counts microseconds from 2000-01-01");
}

static void test_variable(struct arena *arena)
{
	struct pg_array a;

	pg_array_init(&a, PG_TEXT, arena, 1);
	pg_array_bytes(&a, slice_str("h\xc3\xa9"));
	pg_array_bytes(&a, slice_of(NULL, 0));
	ok(SENDS(&a, "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\3h\xc3\xa9\0\0\0\0"),
		"text[]: the empty string is no null");
	pg_array_init(&a, PG_BYTEA, arena, 1);
	pg_array_bytes(&a, slice_of("\0\xff", 2));
	ok(SENDS(&a, "\0\0\0\1\0\0\0\0\0\0\0\x11\0\0\0\1\0\0\0\1\0\0\0\2\0\xff"), "bytea[] takes any byte");
	pg_array_init(&a, PG_JSONB, arena, 1);
	pg_array_null(&a);
	pg_array_bytes(&a, slice_str("{}"));
	ok(SENDS(&a, "\0\0\0\1\0\0\0\1\0\0\x0e\xda\0\0\0\2\0\0\0\1\xff\xff\xff\xff\0\0\0\3\1{}"),
		"jsonb[] elements begin with the version byte 1");
	pg_array_null(&a);
	pg_array_null(&a);
	ok(SENDS(&a, "\0\0\0\1\0\0\0\1\0\0\x0e\xda\0\0\0\2\0\0\0\1\xff\xff\xff\xff\0\0\0\3\1{}"),
		"NULLs at the end are left out");
	pg_array_bytes(&a, slice_str("1"));
	ok(SENDS(&a, "\0\0\0\1\0\0\0\1\0\0\x0e\xda\0\0\0\5\0\0\0\1\xff\xff\xff\xff\0\0\0\3\1{}"
		     "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\2\1" "1"),
		"unless a value follows");
	pg_array_init(&a, PG_TEXT, arena, 4096);
	pg_array_null(&a);
	ok(SENDS(&a, "\0\0\0\0\0\0\0\0\0\0\0\x19"), "nothing but NULL is an empty array");
}

/* Every element must survive the copies that growth makes. */
static void test_growth(struct arena *arena)
{
	struct pg_array a;
	char text[32];
	bool same = true;
	size_t before = arena->used_bytes;
	const char *p;
	int n;

	pg_array_init(&a, PG_TEXT, arena, 1);
	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof text, "element %05d", i);
		pg_array_bytes(&a, slice_str(text));
	}
	p = pg_array_close(&a, &n);
	ok(n == 20 + 20000 * (4 + 13) && a.n == 20000, "20000 elements grown from room for one");
	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof text, "element %05d", i);
		same = same && memcmp(p + 20 + i * 17 + 4, text, 13) == 0;
	}
	ok(same, "every element is what was appended");
	ok(arena->used_bytes - before < 4u * (unsigned)n, "growth by doubling: the arena used < 4 times the array");
}

int main(void)
{
	struct arena arena = ARENA_INIT;

	test_fixed(&arena);
	test_variable(&arena);
	test_growth(&arena);
	ok(strcmp(pg_type_sql(PG_TIMESTAMPTZ), "timestamptz") == 0, "types know their SQL name");
	arena_done(&arena);
	return done();
}
