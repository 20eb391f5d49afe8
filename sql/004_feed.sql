-- SPDX-License-Identifier: MIT
-- Counts, the feed, point look-ups and the state of repos.

-- Dead: a tombstone, or at or below the position at which its account was deleted. Hidden: its account is not
-- active now.
CREATE FUNCTION bsky.is_shown(cid bytea, epoch integer, seq bigint, s bsky.account_states) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT $1 <> '' AND coalesce($4.active, true)
        AND NOT coalesce(($2, $3) <= ($4.purge_epoch, $4.purge_seq), false) $$;
COMMENT ON FUNCTION bsky.is_shown(bytea, integer, bigint, bsky.account_states) IS
    'Neither deleted, nor of a deleted or inactive account';

-- A view, not a maintained table. Counting through the index is exact at any moment by construction, whatever
-- is delivered again; a table costs one more row update per like (all of them on one row for a hot post) for which
-- writers wait for each other. Measured by tests/bench/run --only counts on 2 cores (AMD EPYC) with other work beside
-- it, 300 000 events by two writers, best of three rounds, a table for likes alone; two such runs:
--   evenly spread       view 22.8, 21.5 CPU-us an event, 69 800, 54 800 events/s    table 25.4, 23.2; 44 500, 33 200
--   30 % on one post    view 25.9, 27.8 CPU-us an event, 61 900, 40 200 events/s    table 27.6, 24.7; 56 700, 49 500
-- Evenly spread the table costs in both; with a hot post the runs contradict each other, so nothing is claimed of it.
-- Asked for the 10 newest posts, all four counts: view 3.8 ms, likes from the table 0.05 ms; for a post with 254
-- likes: view 4.3 ms.
CREATE VIEW bsky.post_counts AS
SELECT p.rkey, p.actor, bsky.key_uri(p.rkey, p.actor, 1::smallint) AS uri, l.likes, r.reposts, c.replies, q.quotes
FROM bsky.posts p
    LEFT JOIN bsky.account_states s ON s.actor = p.actor
    CROSS JOIN LATERAL (SELECT count(*) AS likes FROM bsky.likes x LEFT JOIN bsky.account_states y ON y.actor = x.actor
        WHERE x.subject_rkey = p.rkey AND x.subject_actor = p.actor AND x.subject_kind = 1
            AND bsky.is_shown(x.cid, x.epoch, x.seq, y)) l
    CROSS JOIN LATERAL (SELECT count(*) AS reposts FROM bsky.reposts x LEFT JOIN bsky.account_states y ON y.actor = x.actor
        WHERE x.subject_rkey = p.rkey AND x.subject_actor = p.actor AND x.subject_kind = 1
            AND bsky.is_shown(x.cid, x.epoch, x.seq, y)) r
    CROSS JOIN LATERAL (SELECT count(*) AS replies FROM bsky.posts x LEFT JOIN bsky.account_states y ON y.actor = x.actor
        WHERE x.reply_parent_rkey = p.rkey AND x.reply_parent_actor = p.actor
            AND bsky.is_shown(x.cid, x.epoch, x.seq, y)) c
    CROSS JOIN LATERAL (SELECT count(*) AS quotes FROM bsky.posts x LEFT JOIN bsky.account_states y ON y.actor = x.actor
        WHERE x.quote_rkey = p.rkey AND x.quote_actor = p.actor AND x.quote_kind = 1
            AND bsky.is_shown(x.cid, x.epoch, x.seq, y)) q
WHERE bsky.is_shown(p.cid, p.epoch, p.seq, s);
COMMENT ON VIEW bsky.post_counts IS
    'Likes, reposts, replies and quotes of each post, counted when asked; deleted records and inactive accounts are left out. Restrict it by rkey and actor';

CREATE VIEW bsky.feed AS
SELECT bsky.key_uri(p.rkey, p.actor, 1::smallint) AS uri, a.did, s.handle, p.created_at, p.text, p.langs, p.embed_kind,
    bsky.key_uri(p.reply_parent_rkey, p.reply_parent_actor, p.reply_parent_kind) AS reply_to,
    bsky.key_uri(p.quote_rkey, p.quote_actor, p.quote_kind) AS quotes, p.rkey, p.actor
FROM bsky.posts p JOIN bsky.actors a ON a.id = p.actor LEFT JOIN bsky.account_states s ON s.actor = p.actor
WHERE bsky.is_shown(p.cid, p.epoch, p.seq, s);
COMMENT ON VIEW bsky.feed IS 'Posts of active accounts as people read them. ORDER BY rkey DESC is newest first and uses the key';

-- Two joins per repo are kept: its newest commit and its newest #sync. They disagree on the root while records
-- are missing here; a later commit moves on.
CREATE OR REPLACE VIEW bsky.accounts AS
SELECT a.did, s.handle, coalesce(s.active, true) AS active, s.status,
    s.actor IS NOT NULL OR r.actor IS NOT NULL OR y.actor IS NOT NULL AS present,
    coalesce(y.rev >= r.rev AND y.data <> r.data, false) AS desynchronized
FROM bsky.actors a
    LEFT JOIN bsky.account_states s ON s.actor = a.id
    LEFT JOIN bsky.repos r ON r.actor = a.id
    LEFT JOIN bsky.repo_syncs y ON y.actor = a.id;
COMMENT ON COLUMN bsky.accounts.desynchronized IS
    'The repo''s host stated a root (#sync) that the commits seen here do not lead to: records may be missing';

-- Derived, not counted on the way: an operator looks once in a while, the workers write all the time.
CREATE VIEW standpipe.collections_seen AS
SELECT g.collection, g.records, g.deleted, 'at://' || a.did || '/' || g.collection || '/' || bsky.rkey(o.rkey, o.rkey_text) AS sample
FROM (SELECT collection, count(*) FILTER (WHERE cid <> '') AS records, count(*) FILTER (WHERE cid = '') AS deleted
      FROM bsky.other_records GROUP BY collection) g
    CROSS JOIN LATERAL (SELECT rkey, rkey_text, actor FROM bsky.other_records x
        WHERE x.collection = g.collection ORDER BY rkey DESC LIMIT 1) o
    JOIN bsky.actors a ON a.id = o.actor
ORDER BY g.records DESC, g.collection;
COMMENT ON VIEW standpipe.collections_seen IS
    'Collections without a table of their own, with their number of records and the newest as a sample: a new lexicon shows here';
