-- +goose Up
-- Who did what: entries that each carry the hash of the one before.
CREATE TABLE ledger (
    seq    BIGINT NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL, -- milliseconds since 1970, UTC
    actor  TEXT   NOT NULL,
    verb   TEXT   NOT NULL,
    app    TEXT   NOT NULL, -- its UUID; empty: about no app
    name   TEXT   NOT NULL, -- the app's then
    ticket TEXT   NOT NULL,
    detail TEXT   NOT NULL, -- a JSON object; the hash covers it byte by byte
    key_id TEXT   NOT NULL, -- empty: sealed without a key
    prev   TEXT   NOT NULL,
    hash   TEXT   NOT NULL
);
CREATE INDEX ledger_app ON ledger (app, seq);
-- The end of the chain. Whoever appends locks this row first, so that two entries
-- never follow the same one.
CREATE TABLE ledger_head (
    one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1), -- there is one row
    seq    BIGINT NOT NULL,
    hash   TEXT   NOT NULL,
    key_id TEXT   NOT NULL  -- of the last entry
);
INSERT INTO ledger_head (one, seq, hash, key_id) VALUES (1, 0, '', '');

-- +goose Down
DROP TABLE ledger_head;
DROP TABLE ledger;
