-- The secret with which the host signs tokens and sessions. At most one row; the host makes it when it first needs it.
CREATE TABLE forge_signing_secret (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    secret BLOB NOT NULL CHECK (length(secret) = 32)
);
