-- +goose Up
-- Whose word it is that a check does not count against an app, and until when. What the
-- columns say stands in the body too; they are there to be searched.
CREATE TABLE waivers (
    n      BIGINT NOT NULL PRIMARY KEY, -- waiver W-n
    rev    BIGINT NOT NULL,             -- raised by every change
    state  TEXT   NOT NULL,
    app    TEXT   NOT NULL,             -- its UUID
    origin TEXT   NOT NULL UNIQUE,      -- the request that it was made for
    body   TEXT   NOT NULL              -- the waiver as JSON
);
CREATE INDEX waivers_app ON waivers (app, state);
CREATE INDEX waivers_state ON waivers (state);

-- +goose Down
DROP TABLE waivers;
