-- SPDX-License-Identifier: MIT
-- app.bsky.graph.verification: bsky.verifications
INSERT INTO bsky.verifications AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject, handle, display_name, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject, handle, display_name, value, raw
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::text[], $8::timestamptz[], $9::bigint[], $10::text[], $11::text[], $12::jsonb[], $13::bytea[]) AS u (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, subject, handle, display_name, value, raw)
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, created_at = excluded.created_at, subject = excluded.subject, handle = excluded.handle, display_name = excluded.display_name, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
