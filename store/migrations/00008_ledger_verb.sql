-- +goose Up
-- The start asks for the newest entry of one verb, whatever the ledger's length.
CREATE INDEX ledger_verb ON ledger (verb, seq);

-- +goose Down
DROP INDEX ledger_verb;
