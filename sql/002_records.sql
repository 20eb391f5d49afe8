-- SPDX-License-Identifier: MIT
-- Record tables: one per collection of src/domain/collection.c, plus other_records for everything else.
--
-- Every table begins alike:
--   rkey, actor   the key, time first: record keys are time-ordered, so inserts touch the right edge of the
--                 index only (measured 1.9x cheaper than (actor, rkey) at 20 M rows)
--   rev, cid      the version; the larger (rev, cid) wins. cid is the SHA-256 digest; '' is a tombstone and
--                 sorts below every digest
--   epoch, seq    the position of this version: the smallest seq in the newest epoch that showed it; at or
--                 below the account's purge position the record is dead. (Not the smallest of all epochs: a
--                 deletion replayed under a new epoch would then kill what was written after it.)
--   rkey_text     the record key where rkey is a hash (negative)
-- References point to bsky.keys, which is narrow and never updated; a key without a content row is a gap.
-- raw holds the verbatim record whenever the columns (or value) would not give the same bytes back.

CREATE TABLE bsky.posts (
    rkey bigint NOT NULL, actor bigint NOT NULL,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    reply_root_rkey bigint, reply_root_actor bigint,
    reply_parent_rkey bigint, reply_parent_actor bigint,
    quote_rkey bigint, quote_actor bigint,
    epoch integer NOT NULL,
    kind smallint NOT NULL GENERATED ALWAYS AS (1::smallint) STORED,
    reply_root_kind smallint, reply_parent_kind smallint, quote_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    text text, langs text[], mentions text[], tags text[], links text[], embed_kind text, media jsonb,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (rkey, actor, kind) REFERENCES bsky.keys,
    FOREIGN KEY (reply_root_rkey, reply_root_actor, reply_root_kind) REFERENCES bsky.keys,
    FOREIGN KEY (reply_parent_rkey, reply_parent_actor, reply_parent_kind) REFERENCES bsky.keys,
    FOREIGN KEY (quote_rkey, quote_actor, quote_kind) REFERENCES bsky.keys
);
CREATE INDEX posts_reply_parent ON bsky.posts (reply_parent_rkey, reply_parent_actor) WHERE reply_parent_rkey IS NOT NULL;
CREATE INDEX posts_reply_root ON bsky.posts (reply_root_rkey, reply_root_actor) WHERE reply_root_rkey IS NOT NULL;
CREATE INDEX posts_quote ON bsky.posts (quote_rkey, quote_actor) WHERE quote_rkey IS NOT NULL;
CREATE INDEX posts_actor ON bsky.posts (actor, rkey);
COMMENT ON TABLE bsky.posts IS 'app.bsky.feed.post';

CREATE TABLE bsky.likes (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    subject_rkey bigint, subject_actor bigint,
    epoch integer NOT NULL, subject_kind smallint,
    cid bytea NOT NULL, subject_cid bytea, rkey_text text,
    extra jsonb, value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (subject_rkey, subject_actor, subject_kind) REFERENCES bsky.keys
);
CREATE INDEX likes_subject ON bsky.likes (subject_rkey, subject_actor);
COMMENT ON TABLE bsky.likes IS 'app.bsky.feed.like';

CREATE TABLE bsky.reposts (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    subject_rkey bigint, subject_actor bigint,
    epoch integer NOT NULL, subject_kind smallint,
    cid bytea NOT NULL, subject_cid bytea, rkey_text text,
    extra jsonb, value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (subject_rkey, subject_actor, subject_kind) REFERENCES bsky.keys
);
CREATE INDEX reposts_subject ON bsky.reposts (subject_rkey, subject_actor);
COMMENT ON TABLE bsky.reposts IS 'app.bsky.feed.repost';

CREATE TABLE bsky.follows (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz, subject bigint REFERENCES bsky.actors,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    extra jsonb, value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
CREATE INDEX follows_subject ON bsky.follows (subject, rkey);
COMMENT ON TABLE bsky.follows IS 'app.bsky.graph.follow';

CREATE TABLE bsky.blocks (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz, subject bigint REFERENCES bsky.actors,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    extra jsonb, value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.blocks IS 'app.bsky.graph.block';

CREATE TABLE bsky.lists (
    rkey bigint NOT NULL, actor bigint NOT NULL,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    epoch integer NOT NULL,
    kind smallint NOT NULL GENERATED ALWAYS AS (3::smallint) STORED,
    cid bytea NOT NULL, rkey_text text,
    name text, purpose text, description text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (rkey, actor, kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.lists IS 'app.bsky.graph.list';

CREATE TABLE bsky.listitems (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz, subject bigint REFERENCES bsky.actors,
    list_rkey bigint, list_actor bigint,
    epoch integer NOT NULL, list_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    extra jsonb, value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (list_rkey, list_actor, list_kind) REFERENCES bsky.keys
);
CREATE INDEX listitems_list ON bsky.listitems (list_rkey, list_actor);
COMMENT ON TABLE bsky.listitems IS 'app.bsky.graph.listitem';

CREATE TABLE bsky.listblocks (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    subject_rkey bigint, subject_actor bigint,
    epoch integer NOT NULL, subject_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    extra jsonb, value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (subject_rkey, subject_actor, subject_kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.listblocks IS 'app.bsky.graph.listblock';

CREATE TABLE bsky.starterpacks (
    rkey bigint NOT NULL, actor bigint NOT NULL,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    list_rkey bigint, list_actor bigint,
    epoch integer NOT NULL,
    kind smallint NOT NULL GENERATED ALWAYS AS (4::smallint) STORED,
    list_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    name text, description text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (rkey, actor, kind) REFERENCES bsky.keys,
    FOREIGN KEY (list_rkey, list_actor, list_kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.starterpacks IS 'app.bsky.graph.starterpack';

CREATE TABLE bsky.verifications (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz, subject bigint REFERENCES bsky.actors,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    handle text, display_name text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.verifications IS 'app.bsky.graph.verification';

CREATE TABLE bsky.profiles (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    joined_via_rkey bigint, joined_via_actor bigint,
    epoch integer NOT NULL, joined_via_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    display_name text, description text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (joined_via_rkey, joined_via_actor, joined_via_kind) REFERENCES bsky.keys
);
CREATE INDEX profiles_actor ON bsky.profiles (actor);
COMMENT ON TABLE bsky.profiles IS 'app.bsky.actor.profile';

CREATE TABLE bsky.statuses (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    status text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.statuses IS 'app.bsky.actor.status';

CREATE TABLE bsky.generators (
    rkey bigint NOT NULL, actor bigint NOT NULL,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    epoch integer NOT NULL,
    kind smallint NOT NULL GENERATED ALWAYS AS (2::smallint) STORED,
    cid bytea NOT NULL, rkey_text text,
    did text, display_name text, description text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (rkey, actor, kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.generators IS 'app.bsky.feed.generator';

CREATE TABLE bsky.threadgates (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    post_rkey bigint, post_actor bigint,
    epoch integer NOT NULL, post_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (post_rkey, post_actor, post_kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.threadgates IS 'app.bsky.feed.threadgate';

CREATE TABLE bsky.postgates (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    post_rkey bigint, post_actor bigint,
    epoch integer NOT NULL, post_kind smallint,
    cid bytea NOT NULL, rkey_text text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (post_rkey, post_actor, post_kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.postgates IS 'app.bsky.feed.postgate';

CREATE TABLE bsky.labelers (
    rkey bigint NOT NULL, actor bigint NOT NULL,
    rev bigint NOT NULL, seq bigint NOT NULL,
    created_at timestamptz,
    epoch integer NOT NULL,
    kind smallint NOT NULL GENERATED ALWAYS AS (5::smallint) STORED,
    cid bytea NOT NULL, rkey_text text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL),
    FOREIGN KEY (rkey, actor, kind) REFERENCES bsky.keys
);
COMMENT ON TABLE bsky.labelers IS 'app.bsky.labeler.service';

CREATE TABLE bsky.notification_declarations (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    allow_subscriptions text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.notification_declarations IS 'app.bsky.notification.declaration';

CREATE TABLE bsky.chat_declarations (
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    allow_incoming text,
    value jsonb, raw bytea,
    PRIMARY KEY (rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.chat_declarations IS 'chat.bsky.actor.declaration';

CREATE TABLE bsky.other_records (
    collection text NOT NULL,
    rkey bigint NOT NULL, actor bigint NOT NULL REFERENCES bsky.actors,
    rev bigint NOT NULL, seq bigint NOT NULL,
    epoch integer NOT NULL,
    cid bytea NOT NULL, rkey_text text,
    value jsonb, raw bytea,
    PRIMARY KEY (collection, rkey, actor),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.other_records IS 'Records of every collection without a table of its own';

-- Two DIDs with one id: the odds are about 1e-4 at 40 million accounts.
CREATE FUNCTION bsky.refuse_actor(id bigint, did text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'actor id % of % belongs to another DID', id, did USING ERRCODE = '23505';
END $$;
