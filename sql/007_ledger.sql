-- SPDX-License-Identifier: MIT
-- The ledger: what was received, and what became of it. A worker writes one row per pack in the transaction that
-- finishes the pack; the keeper folds the rows up to the watermark into totals in the one that moves it.

CREATE TABLE standpipe.ledger (
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    prev_epoch bigint,
    prev_seq bigint,
    first_ordinal bigint,
    n_events integer NOT NULL,
    redelivered integer NOT NULL DEFAULT 0,
    overtaken boolean NOT NULL DEFAULT false,
    counts integer[] NOT NULL,
    PRIMARY KEY (epoch, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE standpipe.ledger IS
    'One row per pack (entry of the stream) that is finished and not yet folded into ledger_totals; people read ledger_summary';
COMMENT ON COLUMN standpipe.ledger.prev_seq IS 'The entry before it, with prev_epoch; NULL: its bytes were no pack';
COMMENT ON COLUMN standpipe.ledger.redelivered IS 'How often it was finished again';
COMMENT ON COLUMN standpipe.ledger.counts IS
    'Rows of {class, received, applied, unchanged, stale, dead-lettered, filtered, inserted}';

-- What is in the database before there is a ledger counts as inserted, so that rows and ledger agree from here on.
CREATE TABLE standpipe.ledger_totals (
    class smallint PRIMARY KEY,
    received bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    stale bigint NOT NULL DEFAULT 0,
    dead_lettered bigint NOT NULL DEFAULT 0,
    filtered bigint NOT NULL DEFAULT 0,
    redelivered bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE standpipe.ledger_totals IS 'The ledger up to the watermark; people read ledger_summary';
COMMENT ON COLUMN standpipe.ledger_totals.class IS
    'Operations by collection (the numbers of src/domain/collection.c; 100: all without a table), 200 + kind of event for events';
COMMENT ON COLUMN standpipe.ledger_totals.redelivered IS 'What came again in packs that were finished before: counted only here';
COMMENT ON COLUMN standpipe.ledger_totals.inserted IS 'Rows of record tables: first versions among what was applied, and what was there before';
INSERT INTO standpipe.ledger_totals (class, inserted)
SELECT class, n FROM (
    SELECT 1, count(*) FROM bsky.posts UNION ALL
    SELECT 2, count(*) FROM bsky.generators UNION ALL
    SELECT 3, count(*) FROM bsky.lists UNION ALL
    SELECT 4, count(*) FROM bsky.starterpacks UNION ALL
    SELECT 5, count(*) FROM bsky.labelers UNION ALL
    SELECT 10, count(*) FROM bsky.likes UNION ALL
    SELECT 11, count(*) FROM bsky.reposts UNION ALL
    SELECT 12, count(*) FROM bsky.follows UNION ALL
    SELECT 13, count(*) FROM bsky.blocks UNION ALL
    SELECT 14, count(*) FROM bsky.listitems UNION ALL
    SELECT 15, count(*) FROM bsky.listblocks UNION ALL
    SELECT 16, count(*) FROM bsky.verifications UNION ALL
    SELECT 17, count(*) FROM bsky.profiles UNION ALL
    SELECT 18, count(*) FROM bsky.statuses UNION ALL
    SELECT 19, count(*) FROM bsky.threadgates UNION ALL
    SELECT 20, count(*) FROM bsky.postgates UNION ALL
    SELECT 21, count(*) FROM bsky.notification_declarations UNION ALL
    SELECT 22, count(*) FROM bsky.chat_declarations UNION ALL
    SELECT 100, count(*) FROM bsky.other_records) t (class, n) WHERE n > 0;

-- Ordinals number the events of the stream, from 0 again when Redis was emptied. At the watermark always
-- ordinal = ordinal_base + events + lost.
ALTER TABLE standpipe.watermark
    ADD ordinal bigint,
    ADD ordinal_base bigint,
    ADD events bigint NOT NULL DEFAULT 0,
    ADD lost bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN standpipe.watermark.ordinal IS 'Of the next event in Redis; NULL: not known';
COMMENT ON COLUMN standpipe.watermark.events IS 'Events in the packs up to here, as their writer counted them';
COMMENT ON COLUMN standpipe.watermark.lost IS 'Events that had an ordinal and were deleted from Redis by a foreigner';

-- Declared here so that views can name it; migrate writes its body from the collection table.
CREATE FUNCTION standpipe.class_name(class smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT NULL::text $$;
COMMENT ON FUNCTION standpipe.class_name(smallint) IS 'What a class of the ledger counts';

CREATE VIEW standpipe.ledger_summary AS
SELECT standpipe.class_name(class::smallint) AS class, sum(received) AS received, sum(applied) AS applied,
    sum(unchanged) AS unchanged, sum(stale) AS stale, sum(dead_lettered) AS dead_lettered, sum(filtered) AS filtered,
    sum(received) - sum(applied) - sum(unchanged) - sum(stale) - sum(dead_lettered) - sum(filtered) AS residue,
    sum(redelivered) AS redelivered, sum(inserted) AS inserted, class AS class_id
FROM (SELECT * FROM standpipe.ledger_totals UNION ALL
    SELECT l.counts[i][1], l.counts[i][2] * (1 - again), l.counts[i][3] * (1 - again), l.counts[i][4] * (1 - again),
        l.counts[i][5] * (1 - again), l.counts[i][6] * (1 - again), l.counts[i][7] * (1 - again),
        l.counts[i][2] * (l.redelivered + again), l.counts[i][8]
    FROM standpipe.ledger l CROSS JOIN standpipe.watermark w
        CROSS JOIN LATERAL (SELECT (l.overtaken OR (l.epoch, l.seq) <= (w.epoch, w.seq))::integer AS again) a
        CROSS JOIN LATERAL generate_subscripts(l.counts, 1) i) t
GROUP BY class;
COMMENT ON VIEW standpipe.ledger_summary IS
    'What was received and what became of it, operations by collection, events by kind. residue must be 0; redelivered counts apart';
