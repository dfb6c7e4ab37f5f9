-- The tenants' store: JSON documents under keys. The keys of a tenant are in the order of their bytes.
CREATE TABLE forge_db (
    tenant     TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,                            -- the number of the transaction that put it
    value      TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- The number of a tenant's last transaction, and what its entries add up to. Each commit with transactions of the tenant
-- locks and changes the row, so nodes perform them one after the other.
CREATE TABLE forge_db_totals (
    tenant  TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL DEFAULT 0,
    entries BIGINT NOT NULL DEFAULT 0,
    bytes   BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 10);                                 -- each commit changes a row

-- What tenants put into their stores.
ALTER TABLE forge_usage ADD COLUMN db_puts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_usage ADD COLUMN db_bytes BIGINT NOT NULL DEFAULT 0;
