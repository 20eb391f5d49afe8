#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Revs ahead of the clock: nothing of them is stored but dead letters, and no account's state is pinned to them.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/meaning/cases.sh"

# Nth TID of 2025: 900000000000000 microseconds later it is 2053
events ahead <<'E'
rev=1 create al post/p {"text": "before"}
rev=900000000000000 create al post/q {"text": "from 2053"}
rev=900000000000001 delete al post/p
rev=900000000000002 sync al
rev=900000000000003 commit al
end
rev=900000000000004 create be post/p {"text": "all there is"}
rev=2 create al post/r {"text": "after"}
E
is_live "what came before and after is there" al/post/p al/post/r
expect "what is said to be of 2053 is not" \
	"select count(*) from bsky.records where uri in ('$(uri al/post/q)', '$(uri be/post/p)')" 0
expect "the account's newest rev is that of its newest sound commit" \
	"select r.rev >> 10 = 1735689600000002 from bsky.repos r
		join bsky.actors a on a.id = r.actor where a.did = '$(did al)'" t
expect "no state of a repo is of 2053" "select count(*) from bsky.repos where rev >> 10 > 1800000000000000" 0
expect "nor is one of a sync" "select count(*) from bsky.repo_syncs" 0
expect "each operation is a dead letter" \
	"select count(*) from standpipe.dead_letters where class = 'refused' and reason = 'future_rev'" 3
expect "the sync and the commit without operations are dead letters with their bytes" \
	"select count(*), min(length(bytes)) > 100 from standpipe.dead_letters where class = 'bad' and reason = 'future_rev'" "2|t"

redis_start
serve_cases 2 300
check_cases ''
is "the log says it of each of the five" "$(grep -cE '(op|event)[.]refused .*reason=future_rev' "$T/standpipe.log")" 5
is "no connection was dropped for it" "$(grep -c 'source[.]bad_frame' "$T/standpipe.log")" 0
plan
