-- +goose Up
-- Deploys that are, or were, watched. What the columns say stands in the body too, but for
-- origin and rev; they are there to be searched.
CREATE TABLE watches (
    n       BIGINT NOT NULL PRIMARY KEY,   -- watch D-n
    rev     BIGINT NOT NULL,               -- raised by every change
    state   TEXT   NOT NULL,
    app     TEXT   NOT NULL,               -- its UUID
    origin  TEXT   NOT NULL UNIQUE,        -- the request, or the release, that it was made for
    asked   BIGINT NOT NULL,               -- when; this and ended: milliseconds since 1970, UTC
    ended   BIGINT NOT NULL DEFAULT 0,     -- 0: it has not
    verdict TEXT   NOT NULL DEFAULT '',    -- empty: none yet
    proof   TEXT   NOT NULL DEFAULT '',    -- what status and the digest show of it, as JSON; empty: nothing yet
    body    TEXT   NOT NULL                -- the watch as JSON
);
CREATE INDEX watches_app ON watches (app, verdict, n);
CREATE INDEX watches_state ON watches (state);
CREATE INDEX watches_ended ON watches (ended);

-- +goose Down
DROP TABLE watches;
