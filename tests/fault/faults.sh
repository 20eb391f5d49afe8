#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 600
# Nothing is lost and nothing doubled, whatever dies, fails or stalls: the short selection of the fault matrix. Where it
# takes more than five minutes (on a virtual machine with slow page faults it would have been about fourteen) each row
# has its first case, and what was left out is reported as skipped.
exec "$(dirname "$0")/faults" --seconds 300 "$@"
