/* SPDX-License-Identifier: MIT
 *
 * schema - the version of the PostgreSQL schema this program reads and writes (the newest of sql/)
 */
#ifndef DOMAIN_SCHEMA_H
#define DOMAIN_SCHEMA_H

enum { SCHEMA_VERSION = 9 };

#endif
