-- SPDX-License-Identifier: MIT
-- com.example.record has no table of its own
-- every other collection: bsky.other_records
INSERT INTO bsky.other_records AS t (collection, rkey, actor, rev, epoch, seq, cid, rkey_text, value, raw)
SELECT collection, rkey, actor, rev, epoch, seq, cid, rkey_text, value, raw
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[], $7::bytea[], $8::text[], $9::jsonb[], $10::bytea[]) AS u (collection, rkey, actor, rev, epoch, seq, cid, rkey_text, value, raw)
ON CONFLICT (collection, rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
