-- +goose Up
-- Scheduled scans and their digests. What the columns say stands in the body too; they
-- are there to be searched.
CREATE TABLE nights (
    id      TEXT   NOT NULL PRIMARY KEY, -- the scheduled local date, 2026-11-22; of a scan out of turn 2026-11-22#2
    slot    BIGINT NOT NULL,             -- when it was due; this and all times: milliseconds since 1970, UTC
    version BIGINT NOT NULL,             -- raised by each write
    body    TEXT   NOT NULL,             -- the night as JSON
    digest  TEXT   NOT NULL              -- as JSON; empty: not made yet
);
CREATE INDEX nights_slot ON nights (slot);
-- Each date has one night that ran for it, or that told that none did: never both, and
-- never two, however many replicas look at the same moment.
CREATE TABLE night_dates (
    date  TEXT NOT NULL PRIMARY KEY, -- a night's id, or a date that it missed
    night TEXT NOT NULL              -- that night's id
);
CREATE INDEX night_dates_night ON night_dates (night);
-- When the schedule was first looked at: no night is due from before.
CREATE TABLE first_look (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), -- there is one row
    at  BIGINT NOT NULL
);
-- How each app stood when it was last in scope.
CREATE TABLE standings (
    app  TEXT   NOT NULL PRIMARY KEY, -- its UUID
    name TEXT   NOT NULL,
    gone BIGINT NOT NULL,             -- since when no scan has found it; 0: the last one did
    body TEXT   NOT NULL              -- JSON
);
CREATE INDEX standings_gone ON standings (gone) WHERE gone > 0;
-- What came out otherwise than the last time.
CREATE TABLE turns (
    app      TEXT   NOT NULL,
    at       BIGINT NOT NULL, -- of the read that found it
    check_id TEXT   NOT NULL,
    place    BIGINT NOT NULL, -- among those that were stored with it
    body     TEXT   NOT NULL, -- JSON
    PRIMARY KEY (app, at, check_id)
);
CREATE INDEX turns_at ON turns (at);

-- +goose Down
DROP TABLE turns;
DROP TABLE standings;
DROP TABLE first_look;
DROP TABLE night_dates;
DROP TABLE nights;
