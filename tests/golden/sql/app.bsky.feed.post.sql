-- SPDX-License-Identifier: MIT
-- app.bsky.feed.post: bsky.posts
INSERT INTO bsky.posts AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, reply_root_rkey, reply_root_actor, reply_root_kind, reply_parent_rkey, reply_parent_actor, reply_parent_kind, quote_rkey, quote_actor, quote_kind, text, langs, mentions, tags, links, embed_kind, media, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, reply_root_rkey, reply_root_actor, reply_root_kind, reply_parent_rkey, reply_parent_actor, reply_parent_kind, quote_rkey, quote_actor, quote_kind, text, langs::text[], mentions::text[], tags::text[], links::text[], embed_kind, media, value, raw
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::text[], $8::timestamptz[], $9::bigint[], $10::bigint[], $11::smallint[], $12::bigint[], $13::bigint[], $14::smallint[], $15::bigint[], $16::bigint[], $17::smallint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::jsonb[], $25::jsonb[], $26::bytea[]) AS u (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, reply_root_rkey, reply_root_actor, reply_root_kind, reply_parent_rkey, reply_parent_actor, reply_parent_kind, quote_rkey, quote_actor, quote_kind, text, langs, mentions, tags, links, embed_kind, media, value, raw)
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, created_at = excluded.created_at, reply_root_rkey = excluded.reply_root_rkey, reply_root_actor = excluded.reply_root_actor, reply_root_kind = excluded.reply_root_kind, reply_parent_rkey = excluded.reply_parent_rkey, reply_parent_actor = excluded.reply_parent_actor, reply_parent_kind = excluded.reply_parent_kind, quote_rkey = excluded.quote_rkey, quote_actor = excluded.quote_actor, quote_kind = excluded.quote_kind, text = excluded.text, langs = excluded.langs, mentions = excluded.mentions, tags = excluded.tags, links = excluded.links, embed_kind = excluded.embed_kind, media = excluded.media, value = excluded.value, raw = excluded.raw
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
