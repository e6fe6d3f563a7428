-- +goose Up
-- The deliveries from Slack that have been acted on.
CREATE TABLE seen_envelopes (
    id      TEXT   NOT NULL PRIMARY KEY,
    kind    TEXT   NOT NULL,
    seen_at BIGINT NOT NULL -- milliseconds since 1970, UTC
);
CREATE INDEX seen_envelopes_seen_at ON seen_envelopes (seen_at);

-- +goose Down
DROP TABLE seen_envelopes;
