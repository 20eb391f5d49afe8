-- SPDX-License-Identifier: MIT
-- The keeper follows the chain of packs over the ledger: what Redis calls acknowledged although nobody stored it is a gap.

ALTER TABLE standpipe.watermark
    ADD chain_epoch bigint,
    ADD chain_seq bigint;
COMMENT ON COLUMN standpipe.watermark.chain_seq IS
    'The last pack up to here that was stored, with chain_epoch: at or below the watermark';
-- What was stored before there was a ledger has no packs to follow.
UPDATE standpipe.watermark SET chain_epoch = epoch, chain_seq = seq WHERE epoch > 0;

-- Moves the watermark forward and folds the ledger. Packs are followed from the new watermark back, each naming the one
-- before it. A row that is passed over was overtaken: Redis had lost it, and the source was read again with other
-- borders. A row at or below the old watermark was written by a worker that had a pack already counted.
-- Both count as redelivered; the rows they inserted are there all the same. Where a pack does not follow the one
-- stored before it, and the numbers say that events were between them, that is a gap, unless it is on record or an
-- epoch opened since begins before it. (A pack that does follow it was numbered anew: Redis had lost what was there.)
-- The first that is stored of an epoch must not follow one of the same epoch, unless another was opened since.
CREATE OR REPLACE FUNCTION standpipe.move_watermark(to_epoch bigint, to_seq bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    w standpipe.watermark;
    r record;
    at_epoch bigint := to_epoch;    -- the next pack is at or below this
    at_seq bigint := to_seq;
    missing boolean;
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
    FOR r IN SELECT l.epoch, l.seq, l.prev_epoch, l.prev_seq, l.first_ordinal, l.n_events FROM standpipe.ledger l
        WHERE (l.epoch, l.seq) > (w.epoch, w.seq) AND (l.epoch, l.seq) <= (to_epoch, to_seq) AND NOT l.overtaken
        ORDER BY l.epoch, l.seq
    LOOP
        missing := r.first_ordinal > coalesce(w.ordinal, 0) AND CASE
            WHEN r.epoch = at_epoch AND (r.prev_epoch, r.prev_seq) > (w.chain_epoch, w.chain_seq) THEN
                NOT EXISTS (SELECT FROM standpipe.epochs e
                    WHERE e.epoch > r.epoch AND e.start ~ '^[0-9]+$' AND e.start::bigint <= w.chain_seq)
            ELSE r.prev_epoch = r.epoch AND r.epoch IS DISTINCT FROM w.chain_epoch
                AND NOT EXISTS (SELECT FROM standpipe.epochs e WHERE e.epoch > r.epoch)
            END;
        IF missing THEN
            w.ordinal_base := coalesce(w.ordinal_base, 0);
            w.lost := w.lost + r.first_ordinal - coalesce(w.ordinal, 0);
            INSERT INTO standpipe.gaps (epoch, after_epoch, after_seq, first_seq, reason)
            SELECT r.prev_epoch, coalesce(w.chain_epoch, 0), coalesce(w.chain_seq, 0), r.prev_seq + 1, 'never_stored'
            WHERE NOT EXISTS (SELECT FROM standpipe.gaps g WHERE g.epoch = r.prev_epoch AND g.first_seq = r.prev_seq + 1);
        ELSIF w.ordinal IS DISTINCT FROM r.first_ordinal THEN   -- the first ever, or numbered anew
            w.ordinal_base := r.first_ordinal - w.events - w.lost;
        END IF;
        w.events := w.events + r.n_events;
        w.ordinal := r.first_ordinal + r.n_events;
        at_epoch := r.epoch;
        w.chain_epoch := r.epoch;
        w.chain_seq := r.seq;
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
        ordinal_base = w.ordinal_base, events = w.events, lost = w.lost, chain_epoch = w.chain_epoch, chain_seq = w.chain_seq;
END $$;
