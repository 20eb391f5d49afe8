/* SPDX-License-Identifier: MIT */
#include "supervisor/commands/migrations.h"

#include "domain/schema.h"
#include "sql_stamp.h"

/* A new migration is one line here, one file, and SCHEMA_VERSION. */
#define MIGRATIONS(X)                                                                              \
	X(1, 001_base)                                                                             \
	X(2, 002_records)                                                                          \
	X(3, 003_views)                                                                            \
	X(4, 004_feed)                                                                             \
	X(5, 005_purge)                                                                            \
	X(6, 006_suspects)                                                                         \
	X(7, 007_ledger)                                                                           \
	X(8, 008_chain)                                                                            \
	X(9, 009_verify)

/* The assembler copies the file's bytes; the NUL behind them makes them a string. Global, because with -flto the
 * assembler's part and the rest of this file are different objects. */
#define X(number, file)                                                                            \
	__asm__(".pushsection .rodata\n"                                                           \
		".global migration_" #file "\n"                                                    \
		".hidden migration_" #file "\n"                                                    \
		"migration_" #file ":\n"                                                           \
		".incbin \"" SQL_DIR "/" #file ".sql\"\n"                                          \
		".byte 0\n"                                                                        \
		".popsection\n");                                                                  \
	extern const char migration_##file[];
MIGRATIONS(X)
#undef X

const struct migration migrations[] = {
#define X(number, file) { number, #file, migration_##file },
	MIGRATIONS(X)
#undef X
};

const int n_migrations = sizeof migrations / sizeof migrations[0];

_Static_assert(sizeof migrations / sizeof migrations[0] == SCHEMA_VERSION,
	"domain/schema.h and the table of migrations differ");
