-- +goose Up
-- The messages about tickets: one for each ticket and target.
CREATE TABLE posts (
    ticket  TEXT   NOT NULL,
    target  TEXT   NOT NULL, -- channel/C…, approver/U… or requester/U…
    channel TEXT   NOT NULL, -- empty: not known yet
    ts      TEXT   NOT NULL, -- empty: not posted, as far as is known
    rev     BIGINT NOT NULL, -- of the ticket that it shows
    hash    TEXT   NOT NULL, -- of what it shows
    live    BIGINT NOT NULL, -- 1: it has buttons that do something
    again   BIGINT NOT NULL, -- 1: it may be the second of its kind
    busy    BIGINT NOT NULL, -- since when it is being posted or changed, in milliseconds since 1970, UTC; 0: it is not
    lost    TEXT   NOT NULL, -- why nothing can be told there; empty: it can
    version BIGINT NOT NULL, -- raised by each write
    PRIMARY KEY (ticket, target)
);

-- +goose Down
DROP TABLE posts;
