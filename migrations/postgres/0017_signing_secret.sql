-- The secret with which the nodes sign tokens and sessions, so that each accepts those of the others. At most one row; the
-- first node that needs it makes it.
CREATE TABLE forge_signing_secret (
    one    INT PRIMARY KEY CHECK (one = 1),
    secret BYTEA NOT NULL CHECK (length(secret) = 32)
);
