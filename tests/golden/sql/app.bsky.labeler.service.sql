-- SPDX-License-Identifier: MIT
-- app.bsky.labeler.service: bsky.labelers
INSERT INTO bsky.labelers AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, value, raw
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::text[], $8::timestamptz[], $9::jsonb[], $10::bytea[]) AS u (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, value, raw)
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, created_at = excluded.created_at, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
--
-- In the transaction before it, what its foreign keys refer to, and the pending rows of what is missing:
-- WITH u AS MATERIALIZED (
--   SELECT u.*, EXISTS (SELECT FROM bsky.keys k WHERE k.rkey = u.rkey AND k.actor = u.actor AND k.kind = u.kind) AS there
--   FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[], $8::smallint[])
--     AS u (rkey, actor, kind, rkey_text, own, child_rkey, child_actor, child_kind)),
-- made AS (INSERT INTO bsky.keys (rkey, actor, kind, rkey_text)
--   SELECT rkey, actor, kind, rkey_text FROM u WHERE NOT there ON CONFLICT DO NOTHING)
-- INSERT INTO standpipe.pending (rkey, actor, kind, child_rkey, child_actor, child_kind)
-- SELECT rkey, actor, kind, child_rkey, child_actor, child_kind FROM u WHERE NOT own AND NOT there
-- ON CONFLICT DO NOTHING
--
-- After it, the end of the pending rows of the records that it brought:
-- DELETE FROM standpipe.pending p USING unnest($1::bigint[], $2::bigint[], $3::smallint[]) AS u (rkey, actor, kind)
-- WHERE p.rkey = u.rkey AND p.actor = u.actor AND p.kind = u.kind
