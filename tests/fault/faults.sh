#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 600
# Nothing is lost and nothing doubled, whatever dies, fails or stalls: the short selection of the fault matrix.
exec "$(dirname "$0")/faults" "$@"
