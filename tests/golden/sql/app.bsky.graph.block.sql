-- SPDX-License-Identifier: MIT
-- app.bsky.graph.block: bsky.blocks
INSERT INTO bsky.blocks AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject, extra, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject, extra, value, raw
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::text[], $8::timestamptz[], $9::bigint[], $10::jsonb[], $11::jsonb[], $12::bytea[]) AS u (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject, extra, value, raw)
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, created_at = excluded.created_at, subject = excluded.subject, extra = excluded.extra, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
