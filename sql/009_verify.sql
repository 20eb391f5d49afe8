-- SPDX-License-Identifier: MIT
-- source.verify = "full": keys of accounts, events that wait for one, and the audit of each repo's chain.

CREATE TABLE standpipe.identities (
    did text PRIMARY KEY,
    curve smallint,
    key bytea,
    pds text,
    handle text,
    error text,
    fetched_at timestamptz,
    wanted_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    next_try timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE INDEX identities_wanted ON standpipe.identities (next_try) WHERE wanted_at IS NOT NULL;
COMMENT ON TABLE standpipe.identities IS
    'What the DID document of each account said last; the resolver asks for those that are wanted';
COMMENT ON COLUMN standpipe.identities.curve IS '1 secp256k1, 2 P-256; NULL: no document, or none with a usable key';
COMMENT ON COLUMN standpipe.identities.key IS 'The signing key: a compressed point';
COMMENT ON COLUMN standpipe.identities.fetched_at IS 'When there was a definite answer last; NULL: never';
COMMENT ON COLUMN standpipe.identities.wanted_at IS 'Since when a new answer is wanted; NULL: it is not';

CREATE TABLE standpipe.parked (
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    did text,
    failed boolean NOT NULL,
    ready boolean NOT NULL,
    parked_at timestamptz NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (epoch, seq)
);
CREATE INDEX parked_did ON standpipe.parked (did);
CREATE INDEX parked_ready ON standpipe.parked (epoch, seq) WHERE ready;
COMMENT ON TABLE standpipe.parked IS
    'Events that wait for the key of their account; workers take them up again when the resolver had an answer';
COMMENT ON COLUMN standpipe.parked.failed IS 'A check failed with the key there was: it may have been replaced';
COMMENT ON COLUMN standpipe.parked.ready IS 'There is an answer: a worker takes it up next';
COMMENT ON COLUMN standpipe.parked.bytes IS 'As it was in the stream, with its head';

-- One row per verified commit, deleted when the audit has passed it; the newest one of each account stays.
CREATE TABLE standpipe.chain (
    actor bigint NOT NULL,
    rev bigint NOT NULL,
    since bigint,
    data bytea NOT NULL,
    prev_data bytea,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    audited boolean NOT NULL DEFAULT false,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, rev)
);
CREATE INDEX chain_due ON standpipe.chain (epoch, seq) WHERE NOT audited;
COMMENT ON TABLE standpipe.chain IS
    'Commits whose place in the chain of their repo is to be audited, and the newest audited one of each repo';

CREATE TABLE standpipe.chain_breaks (
    actor bigint NOT NULL,
    rev bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('since', 'prev_data')),
    since bigint,
    last_rev bigint NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, rev, kind)
);
COMMENT ON TABLE standpipe.chain_breaks IS
    'Commits that do not follow on what was seen of their repo before; a record of what may be missing, nothing is refused for it';
COMMENT ON COLUMN standpipe.chain_breaks.kind IS
    'since: the commit it says it follows was not seen; prev_data: it was, but had another tree than prevData';
COMMENT ON COLUMN standpipe.chain_breaks.last_rev IS 'The commit of this repo that was seen before it';

CREATE VIEW standpipe.broken_chains AS
SELECT a.did, bsky.tid(b.rev) AS rev, b.kind, bsky.tid(b.since) AS since, bsky.tid(b.last_rev) AS last_rev,
    b.epoch, b.seq, b.noticed_at
FROM standpipe.chain_breaks b JOIN bsky.actors a ON a.id = b.actor;
COMMENT ON VIEW standpipe.broken_chains IS 'chain_breaks for people';
