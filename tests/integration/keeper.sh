#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The keeper's program test, which wants an empty database.
. "$(dirname "$0")/../lib.sh"

pg_start
"$build/tests/test-keeper"
