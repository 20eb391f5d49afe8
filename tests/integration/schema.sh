#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The SQL functions compute what the program computes.
. "$(dirname "$0")/../lib.sh"

pg_start
"$build/tests/integration/test-schema"
