-- +goose Up
-- What the looks between the nights find out. It stands beside what the nights write of an
-- app, so that neither writes over the other. Apps are looked at from the first night on
-- that a program writes which knows these columns.
ALTER TABLE standings ADD COLUMN night TEXT NOT NULL DEFAULT '';     -- the scan that wrote the rest of the row
ALTER TABLE standings ADD COLUMN watched BIGINT NOT NULL DEFAULT 0;  -- 1: the app is looked at between the nights
ALTER TABLE standings ADD COLUMN looked BIGINT NOT NULL DEFAULT 0;   -- when it was read last, by a night or by a look; this and all times: milliseconds since 1970, UTC
ALTER TABLE standings ADD COLUMN again BIGINT NOT NULL DEFAULT 0;    -- when to look again out of turn; 0: in its turn
ALTER TABLE standings ADD COLUMN watch TEXT NOT NULL DEFAULT '';     -- what the looks know, as JSON; empty: nothing
CREATE INDEX standings_looked ON standings (looked) WHERE watched = 1;
-- What the watch remembers as a whole.
CREATE TABLE watching (
    one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), -- there is one row
    version BIGINT NOT NULL,                             -- raised by each write
    body    TEXT   NOT NULL                              -- JSON
);
-- What a channel was told, or is to be, at once.
CREATE TABLE bulletins (
    id   TEXT   NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL, -- when it was made
    body TEXT   NOT NULL  -- JSON
);
CREATE INDEX bulletins_at ON bulletins (at);

-- +goose Down
DROP TABLE bulletins;
DROP TABLE watching;
DROP INDEX standings_looked;
ALTER TABLE standings DROP COLUMN watch;
ALTER TABLE standings DROP COLUMN again;
ALTER TABLE standings DROP COLUMN looked;
ALTER TABLE standings DROP COLUMN watched;
ALTER TABLE standings DROP COLUMN night;
