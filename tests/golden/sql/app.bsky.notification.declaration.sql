-- SPDX-License-Identifier: MIT
-- app.bsky.notification.declaration: bsky.notification_declarations
INSERT INTO bsky.notification_declarations AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, allow_subscriptions, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, allow_subscriptions, value, raw
FROM (SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::bigint[]) AS rev, unnest($4::integer[]) AS epoch, unnest($5::bigint[]) AS seq, unnest($6::bytea[]) AS cid, unnest($7::text[]) AS rkey_text, unnest($8::text[]) AS allow_subscriptions, unnest($9::jsonb[]) AS value, unnest($10::bytea[]) AS raw) AS u
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, allow_subscriptions = excluded.allow_subscriptions, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
--
-- Records created under a TID: the same up to ON CONFLICT. Should one be there already, the batch is done
-- again with the whole statement.
