-- The bytes that runs and their journals take, by tenant. Each commit adds what it writes, and deletions take it away: see
-- `stored_bytes` in host/journal/src/state/stored.rs, which computes the same numbers.
CREATE TABLE forge_storage (
    tenant TEXT PRIMARY KEY,
    bytes  INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO forge_storage (tenant, bytes)
SELECT r.tenant, sum(256 + octet_length(r.input) + coalesce(octet_length(r.output), 0) + 2 * coalesce(octet_length(r.error), 0)
       + coalesce((SELECT sum(256 + octet_length(s.name) + coalesce(octet_length(s.input), 0)
                              + coalesce(octet_length(s.result), 0) + coalesce(octet_length(s.error), 0))
                     FROM forge_steps s WHERE s.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215), 0))
  FROM forge_runs r GROUP BY r.tenant;

DROP TRIGGER forge_runs_deleted;
CREATE TRIGGER forge_runs_deleted AFTER DELETE ON forge_runs
BEGIN
    UPDATE forge_storage SET bytes = bytes
       - (256 + octet_length(old.input) + coalesce(octet_length(old.output), 0) + 2 * coalesce(octet_length(old.error), 0))
       - coalesce((SELECT sum(256 + octet_length(s.name) + coalesce(octet_length(s.input), 0)
                              + coalesce(octet_length(s.result), 0) + coalesce(octet_length(s.error), 0))
                     FROM forge_steps s WHERE s.key BETWEEN old.number << 24 AND (old.number << 24) + 16777215), 0)
     WHERE tenant = old.tenant;
    DELETE FROM forge_steps WHERE key BETWEEN old.number << 24 AND (old.number << 24) + 16777215;
END;

-- What a tenant's guests have logged, the lines that were dropped, and the lines of the audit log.
ALTER TABLE forge_usage ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_usage ADD COLUMN log_dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_usage ADD COLUMN audit_lines INTEGER NOT NULL DEFAULT 0;
