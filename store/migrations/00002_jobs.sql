-- +goose Up
-- Work that outlives the program. A job is done once done_at is set; it stays for a
-- while after, because its id keeps it from being enqueued again.
CREATE TABLE jobs (
    id            TEXT   NOT NULL PRIMARY KEY, -- kind:key
    kind          TEXT   NOT NULL,
    serial        TEXT   NOT NULL,             -- jobs of one serial run one after the other; empty: as they come
    run_at        BIGINT NOT NULL,             -- not before then; this and all times: milliseconds since 1970, UTC
    attempt       BIGINT NOT NULL DEFAULT 0,   -- how often it was claimed
    failures      BIGINT NOT NULL DEFAULT 0,   -- how often it failed in a row
    failing_since BIGINT NOT NULL DEFAULT 0,   -- the first of those failures; 0: none
    owner         TEXT   NOT NULL DEFAULT '',  -- who claimed it last, for people who look at the table
    lease_until   BIGINT NOT NULL DEFAULT 0,   -- nobody else may claim it before; 0: no lease
    fence         BIGINT NOT NULL DEFAULT 0,   -- raised by each claim: what an older one writes does not count
    held          BIGINT NOT NULL DEFAULT 0,   -- 1: it was begun and is not done, so the others of its serial wait
    done_at       BIGINT NOT NULL DEFAULT 0,   -- 0: it is not done
    last_error    TEXT   NOT NULL DEFAULT '',  -- of a job that is done: why it was given up
    waits_for     TEXT   NOT NULL DEFAULT ''   -- why it is to run later, if no error is the reason
);
CREATE INDEX jobs_due ON jobs (run_at) WHERE done_at = 0;
CREATE INDEX jobs_done ON jobs (done_at) WHERE done_at > 0;
-- Two replicas that claim at the same moment don't see each other's claim: this index
-- does, and refuses the second job of a serial.
CREATE UNIQUE INDEX jobs_held ON jobs (serial) WHERE held = 1;

-- +goose Down
DROP TABLE jobs;
