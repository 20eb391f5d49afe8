#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# runs alone
# seconds: 400
# A test that cannot fail proves nothing: with any one rule of the durability chain broken a fault must show it.
exec "$(dirname "$0")/faults" --rules "$@"
