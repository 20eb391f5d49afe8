-- SPDX-License-Identifier: MIT
-- chat.bsky.actor.declaration: bsky.chat_declarations
INSERT INTO bsky.chat_declarations AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, allow_incoming, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, allow_incoming, value, raw
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::text[], $8::text[], $9::jsonb[], $10::bytea[]) AS u (rkey, actor, rev, epoch, seq, cid, rkey_text, allow_incoming, value, raw)
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, allow_incoming = excluded.allow_incoming, value = excluded.value, raw = excluded.raw
WHERE excluded.rev > t.rev OR excluded.rev = t.rev AND (excluded.cid > t.cid OR excluded.cid = t.cid AND (excluded.epoch > t.epoch OR excluded.epoch = t.epoch AND excluded.seq < t.seq))
RETURNING t.xmax = 0;
