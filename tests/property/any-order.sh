#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seconds: 400
# Any order, any number of times, any number of workers: the same database. Arguments go to test-any-order,
# e.g. --seed N from a failure. (Arguments: see test-any-order.)
. "$(dirname "$0")/../lib.sh"

pg_start
standpipe_conf
STANDPIPE_INSTALLATION_KEY=$(printf '5a%.0s' {1..32}) standpipe migrate >"$T/migrate.log" 2>&1 || bail "migrate failed"
"$build/tests/property/test-any-order" --workers 4 "$@"
