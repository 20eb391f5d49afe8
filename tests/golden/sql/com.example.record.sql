-- SPDX-License-Identifier: MIT
-- com.example.record has no table of its own
-- every other collection: bsky.other_records
INSERT INTO bsky.other_records AS t (collection, rkey, actor, rev, epoch, seq, cid, rkey_text, value, raw)
SELECT collection, rkey, actor, rev, epoch, seq, cid, rkey_text, value, raw
FROM (SELECT unnest($1::text[]) AS collection, unnest($2::bigint[]) AS rkey, unnest($3::bigint[]) AS actor, unnest($4::bigint[]) AS rev, unnest($5::integer[]) AS epoch, unnest($6::bigint[]) AS seq, unnest($7::bytea[]) AS cid, unnest($8::text[]) AS rkey_text, unnest($9::jsonb[]) AS value, unnest($10::bytea[]) AS raw) AS u
ON CONFLICT (collection, rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
--
-- Records created under a TID: the same up to ON CONFLICT. Should one be there already, the batch is done
-- again with the whole statement.
