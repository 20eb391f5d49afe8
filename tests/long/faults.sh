#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 3600
# Nothing is lost and nothing doubled: every fault of the matrix, every kill point at four later passes.
exec "$(dirname "$0")/../fault/faults" --all ${STANDPIPE_REPORTS:+--json "$STANDPIPE_REPORTS/faults.json"} "$@"
