-- +goose Up
-- What was accepted to be carried out, until a day later. The job command:<id> is
-- enqueued with it.
CREATE TABLE requests (
    id   TEXT   NOT NULL PRIMARY KEY, -- of the delivery from Slack
    at   BIGINT NOT NULL,             -- milliseconds since 1970, UTC
    body TEXT   NOT NULL              -- JSON: who said what, and where; no secret
);
CREATE INDEX requests_at ON requests (at);

-- +goose Down
DROP TABLE requests;
