#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# io/pg: pipelines, binary arrays, outcomes and what errors mean, against a real PostgreSQL.
. "$(dirname "$0")/../lib.sh"

pg_start
"$build/tests/integration/test-pg"
