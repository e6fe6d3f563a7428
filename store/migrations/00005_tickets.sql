-- +goose Up
-- Plans that await, or are past, a decision. What the columns say stands in the body
-- too; they are there to be searched.
CREATE TABLE tickets (
    n          BIGINT NOT NULL PRIMARY KEY, -- ticket T-n
    rev        BIGINT NOT NULL,             -- raised by every change
    state      TEXT   NOT NULL,
    app        TEXT   NOT NULL,             -- its UUID
    origin     TEXT   NOT NULL UNIQUE,      -- the request that it was made for
    follows    TEXT   NOT NULL,             -- the ticket that it resumes or undoes; empty: none
    created_at BIGINT NOT NULL,             -- this and all times: milliseconds since 1970, UTC
    decided_at BIGINT NOT NULL,             -- 0: it is not decided
    body       TEXT   NOT NULL              -- the ticket as JSON
);
CREATE INDEX tickets_app ON tickets (app, n);
CREATE INDEX tickets_state ON tickets (state, n);

-- +goose Down
DROP TABLE tickets;
