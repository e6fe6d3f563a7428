-- +goose Up
-- What the ledger tells of one ticket, whatever its apps: each decision asks for it.
CREATE INDEX ledger_ticket ON ledger (ticket, seq);

-- +goose Down
DROP INDEX ledger_ticket;
