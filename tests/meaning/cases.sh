# SPDX-License-Identifier: MIT
# Cases of meaning (bash, to be sourced after tests/lib.sh): scripts of events (tests/meaning/frames.c says how
# they are written) and claims about what the database then holds.
#
# Cases are collected first and served together, because each has accounts of its own: those of its scope.

frames=$build/tests/meaning/test-frames
script=$T/script
claims=() queries=() answers=()

# events SCOPE: what happened (standard input); queries made from now on are about this scope.
events() {
	scope=$1
	{ echo "scope $1"; cat; } >>"$script"
}

# expect CLAIM QUERY ANSWER
expect() {
	claims+=("$scope: $1") queries+=("$2") answers+=("$3")
}

did() {
	echo "did:web:$1.$scope.test"
}

# uri NAME/COLLECTION/RKEY; a collection without a dot as in the scripts.
uri() {
	local name=${1%%/*} path=${1#*/} collection

	collection=${path%%/*}
	case $collection in
	*.*) ;;
	post | like | repost | threadgate | postgate | generator) collection=app.bsky.feed.$collection ;;
	profile) collection=app.bsky.actor.profile ;;
	service) collection=app.bsky.labeler.service ;;
	*) collection=app.bsky.graph.$collection ;;
	esac
	echo "at://$(did "$name")/$collection/${path#*/}"
}

# field EXPRESSION NAME/COLLECTION/RKEY: the query for something of one record.
field() {
	echo "select $1 from bsky.record('$(uri "$2")')"
}

# is_live, is_waiting, is_deleted CLAIM NAME/COLLECTION/RKEY...
is_live() { is_all live "$@"; }
is_waiting() { is_all waiting "$@"; }
is_deleted() { is_all deleted "$@"; }

is_all() {
	local state=$1 claim=$2 record

	shift 2
	for record; do
		expect "$claim ($record)" "$(field state "$record")" "$state"
	done
}

# has_text CLAIM NAME/COLLECTION/RKEY TEXT
has_text() {
	expect "$1" "$(field "value->>'text'" "$2")" "$3"
}

# counts CLAIM NAME/RKEY LIKES REPOSTS REPLIES QUOTES: of a post.
counts() {
	expect "$1" "select likes, reposts, replies, quotes from bsky.post_counts
		where rkey = bsky.rkey_id('${2#*/}') and actor = bsky.actor_id('$(did "${2%/*}")')" "$3|$4|$5|$6"
}

# serve_cases WORKERS BATCH_EVENTS [RELAY OPTIONS]: the script into a new database. With --rate 60 nearly every
# event is a pack of its own, so that workers cannot get two of them at once.
serve_cases() {
	"$frames" <"$script" >"$T/cases.frames" || bail "no frames"
	pg_start
	redis flushall >/dev/null
	relay_start serve "$T/cases.frames" "${@:3}"
	set_workers="count = $1; batch_events = $2;"
	standpipe_start
	ok "$1 workers, batches of $2: every event is committed and acknowledged" \
		wait_committed "$(last_seq "$T/cases.frames")" 30
}

check_cases() {
	local i

	for i in "${!claims[@]}"; do
		is "$1${claims[i]}" "$(sql "${queries[i]}")" "${answers[i]}"
	done
}

# lock STATEMENT: a session of its own holds the lock that the statement takes, until unlock.
lock() {
	[ -n "${locker_pid-}" ] || {
		coproc locker { psql -XAtq; }
		servers+=("$locker_PID")
		locker_pid=$locker_PID
	}
	echo "begin; $1; select 1;" >&"${locker[1]}"
	read -r -t 20 _ <&"${locker[0]}" || bail "no lock: $1"
}

unlock() {
	echo "rollback;" >&"${locker[1]}"
}

# A worker waits for a lock on table $1.
stands_before() {
	[ "$(sql "select count(*) from pg_locks where not granted and relation = '$1'::regclass")" -gt 0 ]
}

# serve_more [RELAY OPTIONS]: the script as it now is; standpipe goes on behind what it has.
serve_more() {
	relay_stop
	"$frames" <"$script" >"$T/cases.frames" || bail "no frames"
	relay_start serve "$T/cases.frames" --listen "${relay_url#ws://}" "$@"
}
