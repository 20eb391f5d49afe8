#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Many records arrive before the record they refer to: at the end exactly those wait whose parent never
# came, and the queue of missing parents holds exactly those parents.
. "$(dirname "$0")/../lib.sh"

"$relay" generate --out "$T/generated" --frames 8000 --late 40 --late-span 3000 --never 5 >"$T/generate.log" 2>&1 ||
	bail "generate failed"
pg_start
redis_start
relay_start serve "$T/generated.frames"
set_pending='retry = 3600.0;' set_workers='count = 3; batch_events = 50;'
standpipe_start
ok "every frame is committed" wait_committed "$(last_seq "$T/generated.frames")" 60
ok "0 differences" "$compare" "$T/generated"

# Every record with the references its value shows, and whether their targets were ever seen.
sql "create table record as select uri, state, value from bsky.records" >/dev/null
sql "create index on record (uri)" >/dev/null
sql "create table reference as
	select r.uri, r.state, t.target, exists (select from record p where p.uri = t.target) as seen
	from record r, lateral (values
		(r.value #>> '{subject,uri}'), (r.value #>> '{reply,parent,uri}'), (r.value #>> '{reply,root,uri}'),
		(r.value #>> '{embed,record,uri}'), (r.value #>> '{embed,record,record,uri}'),
		(r.value ->> 'list'), (r.value ->> 'post'), (r.value ->> 'subject')) t (target)
	where t.target like 'at://did:%' and r.state <> 'deleted'"
late="select count(*) from bsky.likes l join bsky.posts p on (p.rkey, p.actor) = (l.subject_rkey, l.subject_actor)
	where (p.epoch, p.seq) > (l.epoch, l.seq)"
ok "the recording held likes that came before their post" test "$(sql "$late")" -gt 500
ok "and references to what never came" test "$(sql 'select count(*) from reference where not seen')" -gt 50
none "no record waits whose parents are all there" "$(sql "select uri from reference where state = 'waiting'
	group by uri having bool_and(seen) limit 5")"
none "no record is live while a parent is missing" "$(sql "select uri, target from reference
	where state = 'live' and not seen limit 5")"

# The tables of the kinds a reference can point to.
contents="select rkey, actor, 1::smallint as kind from bsky.posts
	union all select rkey, actor, 2 from bsky.generators union all select rkey, actor, 3 from bsky.lists
	union all select rkey, actor, 4 from bsky.starterpacks union all select rkey, actor, 5 from bsky.labelers"
arrived="select rkey, actor, kind from standpipe.pending intersect ($contents)"
none "no row of standpipe.pending has its parent in the database" "$(sql "$arrived")"
none "every missing parent has its row" "$(sql "select rkey, actor, kind from bsky.keys
	except ($contents) except select rkey, actor, kind from standpipe.pending limit 5")"
plan
