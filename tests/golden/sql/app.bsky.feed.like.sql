-- SPDX-License-Identifier: MIT
-- app.bsky.feed.like: bsky.likes
INSERT INTO bsky.likes AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject_rkey, subject_actor, subject_kind, subject_cid, extra, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject_rkey, subject_actor, subject_kind, subject_cid, extra, value, raw
FROM (SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::bigint[]) AS rev, unnest($4::integer[]) AS epoch, unnest($5::bigint[]) AS seq, unnest($6::bytea[]) AS cid, unnest($7::text[]) AS rkey_text, unnest($8::timestamptz[]) AS created_at, unnest($9::bigint[]) AS subject_rkey, unnest($10::bigint[]) AS subject_actor, unnest($11::smallint[]) AS subject_kind, unnest($12::bytea[]) AS subject_cid, unnest($13::jsonb[]) AS extra, unnest($14::jsonb[]) AS value, unnest($15::bytea[]) AS raw) AS u
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, created_at = excluded.created_at, subject_rkey = excluded.subject_rkey, subject_actor = excluded.subject_actor, subject_kind = excluded.subject_kind, subject_cid = excluded.subject_cid, extra = excluded.extra, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
--
-- Records created under a TID: the same up to ON CONFLICT. Should one be there already, the batch is done
-- again with the whole statement.
--
-- In the transaction before it, what its foreign keys refer to, and the pending rows of what is missing:
-- WITH u AS MATERIALIZED (
--   SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::smallint[]) AS kind,
--     unnest($4::text[]) AS rkey_text, unnest($5::boolean[]) AS own, unnest($6::bigint[]) AS child_rkey,
--     unnest($7::bigint[]) AS child_actor, unnest($8::smallint[]) AS child_kind),
-- made AS (INSERT INTO bsky.keys (rkey, actor, kind, rkey_text)
--   SELECT rkey, actor, kind, rkey_text FROM u ON CONFLICT DO NOTHING RETURNING rkey, actor, kind)
-- INSERT INTO standpipe.pending (rkey, actor, kind, child_rkey, child_actor, child_kind, next_retry)
-- SELECT rkey, actor, kind, child_rkey, child_actor, child_kind, now() + interval '5 s' FROM u
-- WHERE NOT own AND ((rkey, actor, kind) IN (SELECT rkey, actor, kind FROM made)) IS TRUE
