-- The tenants' store: JSON documents under keys. The keys of a tenant are in the order of their bytes.
CREATE TABLE forge_db (
    tenant     TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    INTEGER NOT NULL,                           -- the number of the transaction that put it
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- The number of a tenant's last transaction, and what its entries add up to. Each transaction changes the row.
CREATE TABLE forge_db_totals (
    tenant  TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) WITHOUT ROWID;

-- What tenants put into their stores.
ALTER TABLE forge_usage ADD COLUMN db_puts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_usage ADD COLUMN db_bytes INTEGER NOT NULL DEFAULT 0;
