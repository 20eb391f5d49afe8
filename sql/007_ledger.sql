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

-- Moves the watermark forward and folds the ledger. Packs are followed from the new watermark back, each naming the one
-- before it. A row that is passed over was overtaken: Redis had lost it, and the source was read again with other
-- borders. A row at or below the old watermark was written by a worker that had a pack already counted.
-- Both count as redelivered; the rows they inserted are there all the same.
CREATE FUNCTION standpipe.move_watermark(to_epoch bigint, to_seq bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    w standpipe.watermark;
    r record;
    at_epoch bigint := to_epoch;    -- the next pack is at or below this
    at_seq bigint := to_seq;
BEGIN
    SELECT * INTO w FROM standpipe.watermark FOR UPDATE;
    IF NOT FOUND OR (to_epoch, to_seq) <= (w.epoch, w.seq) THEN
        RETURN;
    END IF;
    FOR r IN SELECT l.epoch, l.seq, l.prev_epoch, l.prev_seq FROM standpipe.ledger l
        WHERE (l.epoch, l.seq) > (w.epoch, w.seq) AND (l.epoch, l.seq) <= (to_epoch, to_seq)
        ORDER BY l.epoch DESC, l.seq DESC
    LOOP
        IF (r.epoch, r.seq) > (at_epoch, at_seq) THEN
            UPDATE standpipe.ledger l SET overtaken = true WHERE l.epoch = r.epoch AND l.seq = r.seq;
        ELSE
            at_epoch := coalesce(r.prev_epoch, r.epoch);
            at_seq := coalesce(r.prev_seq, r.seq - 1);
        END IF;
    END LOOP;
    at_epoch := w.epoch;
    FOR r IN SELECT l.epoch, l.first_ordinal, l.n_events FROM standpipe.ledger l
        WHERE (l.epoch, l.seq) > (w.epoch, w.seq) AND (l.epoch, l.seq) <= (to_epoch, to_seq) AND NOT l.overtaken
        ORDER BY l.epoch, l.seq
    LOOP
        IF r.first_ordinal > w.ordinal AND r.epoch = at_epoch THEN
            w.lost := w.lost + r.first_ordinal - w.ordinal;
        ELSIF w.ordinal IS DISTINCT FROM r.first_ordinal THEN   -- the first ever, or numbered anew
            w.ordinal_base := r.first_ordinal - w.events - w.lost;
        END IF;
        w.events := w.events + r.n_events;
        w.ordinal := r.first_ordinal + r.n_events;
        at_epoch := r.epoch;
    END LOOP;
    WITH gone AS (DELETE FROM standpipe.ledger l WHERE (l.epoch, l.seq) <= (to_epoch, to_seq)
        RETURNING l.counts, l.redelivered, (l.overtaken OR (l.epoch, l.seq) <= (w.epoch, w.seq))::integer AS again),
    sums AS (SELECT g.counts[i][1] AS class, sum(g.counts[i][2] * (1 - again)) AS received,
            sum(g.counts[i][3] * (1 - again)) AS applied, sum(g.counts[i][4] * (1 - again)) AS unchanged,
            sum(g.counts[i][5] * (1 - again)) AS stale, sum(g.counts[i][6] * (1 - again)) AS dead_lettered,
            sum(g.counts[i][7] * (1 - again)) AS filtered, sum(g.counts[i][2] * (g.redelivered + again)) AS redelivered,
            sum(g.counts[i][8]) AS inserted
        FROM gone g CROSS JOIN LATERAL generate_subscripts(g.counts, 1) i GROUP BY 1)
    INSERT INTO standpipe.ledger_totals AS t SELECT * FROM sums ORDER BY class
    ON CONFLICT (class) DO UPDATE SET received = t.received + excluded.received, applied = t.applied + excluded.applied,
        unchanged = t.unchanged + excluded.unchanged, stale = t.stale + excluded.stale,
        dead_lettered = t.dead_lettered + excluded.dead_lettered, filtered = t.filtered + excluded.filtered,
        redelivered = t.redelivered + excluded.redelivered, inserted = t.inserted + excluded.inserted;
    UPDATE standpipe.watermark SET epoch = to_epoch, seq = to_seq, updated_at = now(), ordinal = w.ordinal,
        ordinal_base = w.ordinal_base, events = w.events, lost = w.lost;
END $$;

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
