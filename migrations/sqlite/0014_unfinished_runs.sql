-- The runs of a tenant that are not final, as each commit counts them: see `growth` in host/journal/src/state/stored.rs. Final
-- runs alone are deleted, so a deletion changes nothing.
ALTER TABLE forge_storage ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;

INSERT INTO forge_storage (tenant, bytes, unfinished)
SELECT tenant, 0, count(*) FROM forge_runs WHERE status NOT IN ('completed', 'compensated', 'failed') GROUP BY tenant
ON CONFLICT (tenant) DO UPDATE SET unfinished = excluded.unfinished;
