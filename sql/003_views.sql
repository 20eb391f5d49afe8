-- SPDX-License-Identifier: MIT
-- Views people query, beside bsky.records (which migrate writes from the collection table).

CREATE VIEW bsky.accounts AS
SELECT a.did, s.handle, coalesce(s.active, true) AS active, s.status,
    s.actor IS NOT NULL OR r.actor IS NOT NULL OR y.actor IS NOT NULL AS present
FROM bsky.actors a
    LEFT JOIN bsky.account_states s ON s.actor = a.id
    LEFT JOIN bsky.repos r ON r.actor = a.id
    LEFT JOIN bsky.repo_syncs y ON y.actor = a.id;
COMMENT ON VIEW bsky.accounts IS 'Every account that wrote something or is referred to';
COMMENT ON COLUMN bsky.accounts.active IS 'False: taken down, suspended, deleted or deactivated, see status';
COMMENT ON COLUMN bsky.accounts.status IS 'Why inactive, as the account event said it; an active account may be throttled or desynchronized';
COMMENT ON COLUMN bsky.accounts.present IS 'An event of the account itself was seen; else it is only referred to';

-- Declared here so that views can name it; migrate writes its body from the collection table.
CREATE FUNCTION bsky.kind_nsid(kind smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT NULL::text $$;
COMMENT ON FUNCTION bsky.kind_nsid(smallint) IS 'The collection of a kind';

CREATE FUNCTION bsky.key_uri(rkey bigint, actor bigint, kind smallint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT 'at://' || a.did || '/' || bsky.kind_nsid(k.kind) || '/' || bsky.rkey(k.rkey, k.rkey_text)
    FROM bsky.keys k JOIN bsky.actors a ON a.id = k.actor
    WHERE k.rkey = $1 AND k.actor = $2 AND k.kind = $3 $$;
COMMENT ON FUNCTION bsky.key_uri(bigint, bigint, smallint) IS 'The at-uri of a row of bsky.keys';

-- A join and a GROUP BY, not a sub-select per parent: the planner may take an index per parent while few
-- are missing, and one pass over the children when many are. Tombstones have no references. A reply to the
-- first post of a thread names it twice, as root and as parent, and is one child.
CREATE VIEW standpipe.pending_top AS
SELECT bsky.key_uri(t.rkey, t.actor, t.kind) AS uri, bsky.kind_nsid(t.kind) AS kind, t.children,
    t.first_seen, now() - t.first_seen AS age, t.attempts, t.next_retry, t.state
FROM (
    SELECT p.rkey, p.actor, p.kind, count(c.rkey) AS children,
        p.first_seen, p.attempts, p.next_retry, p.state
    FROM standpipe.pending p LEFT JOIN (
        SELECT subject_rkey, subject_actor, subject_kind FROM bsky.likes
        UNION ALL
        SELECT subject_rkey, subject_actor, subject_kind FROM bsky.reposts
        UNION ALL
        SELECT reply_parent_rkey, reply_parent_actor, reply_parent_kind FROM bsky.posts
        WHERE reply_parent_rkey IS NOT NULL
        UNION ALL
        SELECT reply_root_rkey, reply_root_actor, reply_root_kind FROM bsky.posts
        WHERE reply_root_rkey IS NOT NULL AND (reply_root_rkey, reply_root_actor)
            IS DISTINCT FROM (reply_parent_rkey, reply_parent_actor)
        UNION ALL
        SELECT quote_rkey, quote_actor, quote_kind FROM bsky.posts
        WHERE quote_rkey IS NOT NULL
            AND (quote_rkey, quote_actor) IS DISTINCT FROM (reply_parent_rkey, reply_parent_actor)
            AND (quote_rkey, quote_actor) IS DISTINCT FROM (reply_root_rkey, reply_root_actor)
        UNION ALL
        SELECT list_rkey, list_actor, list_kind FROM bsky.listitems
        UNION ALL
        SELECT subject_rkey, subject_actor, subject_kind FROM bsky.listblocks
        UNION ALL
        SELECT list_rkey, list_actor, list_kind FROM bsky.starterpacks
        UNION ALL
        SELECT post_rkey, post_actor, post_kind FROM bsky.threadgates
        UNION ALL
        SELECT post_rkey, post_actor, post_kind FROM bsky.postgates
        UNION ALL
        SELECT joined_via_rkey, joined_via_actor, joined_via_kind FROM bsky.profiles
    ) c (rkey, actor, kind) ON c.rkey = p.rkey AND c.actor = p.actor AND c.kind = p.kind
    GROUP BY p.rkey, p.actor, p.kind
) t
ORDER BY t.children DESC, t.first_seen;
COMMENT ON VIEW standpipe.pending_top IS
    'Missing parents by the number of records that refer to them, counted when asked. Add LIMIT';

CREATE VIEW standpipe.status AS
SELECT w.epoch AS watermark_epoch, w.seq AS watermark_seq, w.updated_at AS watermark_at,
    p.waiting AS pending_rows, p.expired AS pending_expired, p.dead_lettered AS pending_dead_lettered,
    (SELECT count(*) FROM standpipe.dead_letters) AS dead_letters,
    (SELECT count(*) FROM standpipe.gaps) AS gaps,
    (SELECT max(version) FROM standpipe.schema_version) AS schema_version,
    pg_database_size(current_database()) AS size_bytes
FROM standpipe.watermark w CROSS JOIN (
    SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,
        count(*) FILTER (WHERE state = 'expired') AS expired,
        count(*) FILTER (WHERE state = 'dead_lettered') AS dead_lettered
    FROM standpipe.pending) p;
COMMENT ON VIEW standpipe.status IS 'One row: the watermark, missing parents, dead letters, gaps, size of the database';
