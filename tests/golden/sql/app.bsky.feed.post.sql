-- SPDX-License-Identifier: MIT
-- app.bsky.feed.post: bsky.posts
INSERT INTO bsky.posts AS t (rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, reply_root_rkey, reply_root_actor, reply_root_kind, reply_parent_rkey, reply_parent_actor, reply_parent_kind, quote_rkey, quote_actor, quote_kind, text, langs, mentions, tags, links, embed_kind, media, value, raw)
SELECT rkey, actor, rev, epoch, seq, cid, rkey_text, created_at, reply_root_rkey, reply_root_actor, reply_root_kind, reply_parent_rkey, reply_parent_actor, reply_parent_kind, quote_rkey, quote_actor, quote_kind, text, langs::text[], mentions::text[], tags::text[], links::text[], embed_kind, media, value, raw
FROM (SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::bigint[]) AS rev, unnest($4::integer[]) AS epoch, unnest($5::bigint[]) AS seq, unnest($6::bytea[]) AS cid, unnest($7::text[]) AS rkey_text, unnest($8::timestamptz[]) AS created_at, unnest($9::bigint[]) AS reply_root_rkey, unnest($10::bigint[]) AS reply_root_actor, unnest($11::smallint[]) AS reply_root_kind, unnest($12::bigint[]) AS reply_parent_rkey, unnest($13::bigint[]) AS reply_parent_actor, unnest($14::smallint[]) AS reply_parent_kind, unnest($15::bigint[]) AS quote_rkey, unnest($16::bigint[]) AS quote_actor, unnest($17::smallint[]) AS quote_kind, unnest($18::text[]) AS text, unnest($19::text[]) AS langs, unnest($20::text[]) AS mentions, unnest($21::text[]) AS tags, unnest($22::text[]) AS links, unnest($23::text[]) AS embed_kind, unnest($24::jsonb[]) AS media, unnest($25::jsonb[]) AS value, unnest($26::bytea[]) AS raw) AS u
ON CONFLICT (rkey, actor) DO UPDATE SET rev = excluded.rev, epoch = excluded.epoch, seq = excluded.seq, cid = excluded.cid, rkey_text = excluded.rkey_text, created_at = excluded.created_at, reply_root_rkey = excluded.reply_root_rkey, reply_root_actor = excluded.reply_root_actor, reply_root_kind = excluded.reply_root_kind, reply_parent_rkey = excluded.reply_parent_rkey, reply_parent_actor = excluded.reply_parent_actor, reply_parent_kind = excluded.reply_parent_kind, quote_rkey = excluded.quote_rkey, quote_actor = excluded.quote_actor, quote_kind = excluded.quote_kind, text = excluded.text, langs = excluded.langs, mentions = excluded.mentions, tags = excluded.tags, links = excluded.links, embed_kind = excluded.embed_kind, media = excluded.media, value = excluded.value, raw = excluded.raw
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
--
-- After it, the end of the pending rows of the records that it brought:
-- DELETE FROM standpipe.pending p USING (
--   SELECT unnest($1::bigint[]) AS rkey, unnest($2::bigint[]) AS actor, unnest($3::smallint[]) AS kind) AS u
-- WHERE p.rkey = u.rkey AND p.actor = u.actor AND p.kind = u.kind
