-- SPDX-License-Identifier: MIT
-- Contents of deleted accounts are emptied by the keeper, in passes over every record table.

CREATE INDEX account_states_purge ON bsky.account_states (purge_epoch, purge_seq) WHERE purge_epoch IS NOT NULL;

-- One pass serves every account deleted after `through` and up to `target`. A deletion is served when the
-- watermark has passed it: nothing at or below its position can be under way any more. So one position says
-- which accounts are done.
CREATE TABLE standpipe.purge (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    through_epoch bigint NOT NULL DEFAULT 0,
    through_seq bigint NOT NULL DEFAULT 0,
    target_epoch bigint,
    target_seq bigint,
    table_name text,
    next_block bigint,
    swept_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nulls(target_epoch, target_seq, table_name, next_block) IN (0, 4))
);
COMMENT ON TABLE standpipe.purge IS
    'Accounts deleted up to (through_epoch, through_seq) have no contents left; a pass under way has a target and a place. One row';
COMMENT ON COLUMN standpipe.purge.swept_at IS 'When the keeper last began to look at every deleted account again';
INSERT INTO standpipe.purge DEFAULT VALUES;
