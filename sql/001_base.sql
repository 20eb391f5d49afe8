-- SPDX-License-Identifier: MIT
-- Schemas, the tables everything else refers to, the tables of operation, and the functions that turn
-- stored numbers into what people read and back.

CREATE SCHEMA bsky;
CREATE SCHEMA standpipe;
COMMENT ON SCHEMA bsky IS 'The network''s data; start with the views records and accounts';
COMMENT ON SCHEMA standpipe IS 'How standpipe itself stands; start with the view status';

-- ---- operation ----

CREATE TABLE standpipe.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE standpipe.schema_version IS 'Migrations applied, by standpipe migrate';

CREATE TABLE standpipe.meta (
    key text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE standpipe.meta IS
    'installation_key (64 hex digits: every surrogate number is derived with it, it can never change) and uuid of this database';

CREATE TABLE standpipe.epochs (
    epoch bigint PRIMARY KEY,
    host text NOT NULL,
    start text NOT NULL,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    CHECK (start IN ('live', 'oldest') OR start ~ '^[0-9]+$')
);
COMMENT ON TABLE standpipe.epochs IS 'Sequence number spaces: a seq belongs to one host, changing the host or rewinding opens an epoch';
COMMENT ON COLUMN standpipe.epochs.start IS 'Where reading began: live, oldest, or after this seq';

CREATE TABLE standpipe.watermark (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE standpipe.watermark IS 'Every event up to (epoch, seq) has its outcome in this database; one row';
INSERT INTO standpipe.watermark (epoch, seq) VALUES (0, 0);

CREATE TABLE standpipe.gaps (
    epoch bigint NOT NULL,
    after_epoch bigint NOT NULL,
    after_seq bigint NOT NULL,
    first_seq bigint NOT NULL,
    reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (epoch, first_seq, after_epoch, after_seq)
);
COMMENT ON TABLE standpipe.gaps IS
    'Ranges the source could not prove: events after (after_epoch, after_seq) and before (epoch, first_seq) may be missing';

CREATE TABLE standpipe.dead_letters (
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    op integer NOT NULL,
    id bytea NOT NULL,
    class text NOT NULL,
    reason text NOT NULL,
    sqlstate text,
    did text,
    collection text,
    rkey text,
    bytes bytea,
    attempts integer NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    version text,
    PRIMARY KEY (epoch, seq, op, id)
);
COMMENT ON TABLE standpipe.dead_letters IS 'Events and operations that could not be stored, with their bytes and the reason';
COMMENT ON COLUMN standpipe.dead_letters.op IS 'Index of the operation in its commit; -1: the whole event';
COMMENT ON COLUMN standpipe.dead_letters.id IS 'SHA-256 of bytes';
COMMENT ON COLUMN standpipe.dead_letters.version IS 'Version of standpipe that gave up on it';

-- ---- data: what record tables refer to ----

-- Rows of actors and keys are never updated: INSERT ... ON CONFLICT DO NOTHING waits for a transaction that
-- updates the conflicting row, so anything that changes lives in a table beside them.
CREATE TABLE bsky.actors (
    id bigint PRIMARY KEY,
    did text NOT NULL
);
COMMENT ON TABLE bsky.actors IS 'Every DID that wrote something or is referred to; immutable. Look up: WHERE id = bsky.actor_id(did)';
COMMENT ON COLUMN bsky.actors.id IS 'First 63 bits of HMAC-SHA256(installation key, did)';

CREATE TABLE bsky.keys (
    rkey bigint NOT NULL,
    actor bigint NOT NULL REFERENCES bsky.actors,
    kind smallint NOT NULL,
    rkey_text text,
    PRIMARY KEY (rkey, actor, kind),
    CHECK (rkey >= 0 OR rkey_text IS NOT NULL)
);
COMMENT ON TABLE bsky.keys IS
    'Every record that exists or is referred to and can be a parent; immutable. A key without a content row is a missing parent';
COMMENT ON COLUMN bsky.keys.rkey IS 'A TID below 2^63 as its integer, else -1 - (62 bits of the keyed hash) with the text in rkey_text';
COMMENT ON COLUMN bsky.keys.kind IS '1 post, 2 generator, 3 list, 4 starter pack, 5 labeler service';

CREATE TABLE bsky.account_states (
    actor bigint PRIMARY KEY REFERENCES bsky.actors,
    handle text,
    handle_epoch bigint,
    handle_seq bigint,
    active boolean,
    status text,
    account_epoch bigint,
    account_seq bigint,
    purge_epoch bigint,
    purge_seq bigint
) WITH (fillfactor = 70);
COMMENT ON TABLE bsky.account_states IS 'What identity and account events said last; people read the view bsky.accounts';
COMMENT ON COLUMN bsky.account_states.purge_seq IS 'The account was deleted: its records up to (purge_epoch, purge_seq) are dead';

CREATE TABLE bsky.repos (
    actor bigint PRIMARY KEY REFERENCES bsky.actors,
    rev bigint NOT NULL,
    data bytea NOT NULL,
    commit_cid bytea NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE bsky.repos IS 'Newest commit of each repo: rev, MST root (data) and CID of the commit block';

-- A table of its own: almost every event updates repos, almost none this, and one pass over each table per
-- transaction keeps workers free of deadlocks.
CREATE TABLE bsky.repo_syncs (
    actor bigint PRIMARY KEY REFERENCES bsky.actors,
    rev bigint NOT NULL,
    data bytea NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE bsky.repo_syncs IS 'Newest #sync event of each repo: the root that its host stated';

-- One row per missing parent, not per child: a missing post with 100 000 likes is one row.
CREATE TABLE standpipe.pending (
    rkey bigint NOT NULL,
    actor bigint NOT NULL,
    kind smallint NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    child_actor bigint,
    child_rkey bigint,
    child_kind smallint,
    attempts integer NOT NULL DEFAULT 0,
    next_retry timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'expired', 'dead_lettered')),
    PRIMARY KEY (rkey, actor, kind),
    FOREIGN KEY (rkey, actor, kind) REFERENCES bsky.keys
);
CREATE INDEX pending_due ON standpipe.pending (next_retry) WHERE state = 'waiting';
COMMENT ON TABLE standpipe.pending IS
    'Missing parents: records that others refer to and that have not been seen. Children are stored meanwhile; people read standpipe.pending_top';
COMMENT ON COLUMN standpipe.pending.child_rkey IS 'The first record that referred to it, with child_actor and child_kind';

-- ---- functions: numbers to text ----

-- The bodies of tid() and cid() are one flat expression each, written out here by a loop: no loop runs when
-- they are called. plpgsql, because it is planned once per session instead of once per query; over bytea,
-- because substr() of text looks for character borders (measured: 4 us instead of 9 us per CID).
DO $do$
DECLARE
    head constant text := 'CREATE FUNCTION bsky.%s RETURNS text '
        'LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $f$ BEGIN %s RETURN convert_from(%s, ''UTF8''); END $f$';
    digits constant text := '''234567abcdefghijklmnopqrstuvwxyz''::bytea';
    base32 constant text := '''abcdefghijklmnopqrstuvwxyz234567''::bytea';
BEGIN
    -- 13 digits of 5 bits for 64 bits: the first digit has only 4
    EXECUTE format(head, 'tid(value bigint)', '',
        (SELECT string_agg(format('substr(%s, (value >> %s & %s)::int + 1, 1)', digits, 60 - 5 * i,
                                  CASE i WHEN 0 THEN 15 ELSE 31 END), ' || ' ORDER BY i)
         FROM generate_series(0, 12) i));
    -- 'b' and base32 of 01 71 12 20 and the digest: 32 bits are 6 digits and two 0 bits, which begin the
    -- 52 digits of the rest: digit i holds the bits 5 i - 2 .. 5 i + 2 of the digest
    EXECUTE format(head, 'cid(digest bytea)', 'IF length(digest) <> 32 THEN RETURN NULL; END IF;',
        '''bafyrei''::bytea || ' ||
        (SELECT string_agg(format('substr(%s, (%s) + 1, 1)', base32,
            CASE i WHEN 0 THEN 'get_byte(digest, 0) >> 5'
                   WHEN 51 THEN 'get_byte(digest, 31) << 2 & 31'
                   ELSE format('(get_byte(digest, %s) << 8 | get_byte(digest, %s)) >> %s & 31',
                               (5 * i - 2) / 8, least((5 * i - 2) / 8 + 1, 31), 11 - (5 * i - 2) % 8)
            END), ' || ' ORDER BY i)
         FROM generate_series(0, 51) i));
END $do$;
COMMENT ON FUNCTION bsky.tid(bigint) IS 'The 13 characters of a TID (rkey, rev) from its integer';
COMMENT ON FUNCTION bsky.cid(bytea) IS 'The text of a DAG-CBOR CID from its SHA-256 digest; NULL for a tombstone';

CREATE FUNCTION bsky.rkey(rkey bigint, rkey_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT coalesce(rkey_text, bsky.tid(rkey)) $$;
COMMENT ON FUNCTION bsky.rkey(bigint, text) IS 'The record key as text';

CREATE FUNCTION bsky.time(t timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS
$$ SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
COMMENT ON FUNCTION bsky.time(timestamptz) IS 'The datetime as records write it, cut to milliseconds';

-- ---- functions: text to numbers ----

-- HMAC-SHA256(installation key, text), as its first 8 bytes. SECURITY DEFINER: whoever may look something up
-- need not be able to read the key. The key is 32 bytes, the pads are its XOR with 36.. and 5c.. filled up
-- to the hash's block of 64.
CREATE FUNCTION bsky.keyed_hash(name text) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hex text;
    word bigint;
    ipad bytea := '';
    opad bytea := '';
BEGIN
    SELECT value INTO hex FROM standpipe.meta WHERE key = 'installation_key';
    IF hex IS NULL THEN
        RAISE 'no installation_key in standpipe.meta' USING HINT = 'Run: standpipe migrate';
    END IF;
    FOR i IN 0..3 LOOP
        word := ('x' || substr(hex, 16 * i + 1, 16))::bit(64)::bigint;
        ipad := ipad || int8send(word # x'3636363636363636'::bigint);
        opad := opad || int8send(word # x'5c5c5c5c5c5c5c5c'::bigint);
    END LOOP;
    ipad := ipad || decode(repeat('36', 32), 'hex');
    opad := opad || decode(repeat('5c', 32), 'hex');
    hex := encode(sha256(opad || sha256(ipad || convert_to(name, 'UTF8'))), 'hex');
    RETURN ('x' || substr(hex, 1, 16))::bit(64)::bigint;
END $$;

CREATE FUNCTION bsky.actor_id(did text) RETURNS bigint
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$ SELECT bsky.keyed_hash(did) >> 1 & 9223372036854775807 $$;
COMMENT ON FUNCTION bsky.actor_id(text) IS 'actors.id of a DID, whether or not the row exists';

CREATE FUNCTION bsky.rkey_id(rkey text) RETURNS bigint
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    value bigint := 0;
BEGIN
    -- a TID from c upwards reaches 2^63
    IF rkey !~ '^[2-7ab][2-7a-z]{12}$' THEN
        RETURN -1 - (bsky.keyed_hash(rkey) >> 2 & 4611686018427387903);
    END IF;
    FOR i IN 1..13 LOOP
        value := value << 5 | strpos('234567abcdefghijklmnopqrstuvwxyz', substr(rkey, i, 1)) - 1;
    END LOOP;
    RETURN value;
END $$;
COMMENT ON FUNCTION bsky.rkey_id(text) IS 'rkey of a record key: the integer of a TID, else negative, from the keyed hash';
