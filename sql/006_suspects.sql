-- SPDX-License-Identifier: MIT
-- Events over which a worker crashed: each is processed alone, in a process of its own.

CREATE TABLE standpipe.suspects (
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    crashes integer NOT NULL DEFAULT 1,
    signal text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    version text NOT NULL,
    PRIMARY KEY (epoch, seq)
);
COMMENT ON TABLE standpipe.suspects IS
    'Events that ended a worker while it decoded them; the second time makes a dead letter of class crash. A row goes when its event is stored';
COMMENT ON COLUMN standpipe.suspects.version IS 'Version of standpipe that crashed last';
