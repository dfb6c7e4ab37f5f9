-- The bytes that runs and their journals take, by tenant. Each commit adds what it writes, and deletions take it away: see
-- `stored_bytes` in host/journal/src/state/stored.rs, which computes the same numbers. The total of a tenant is the sum of
-- its parts. Nodes add to different parts, so that they do not wait for each other; deletions have part -1. Without its
-- escape character, a text has the length that the host sees.
CREATE TABLE forge_storage (
    tenant TEXT COLLATE "C" NOT NULL,
    part   BIGINT NOT NULL,
    bytes  BIGINT NOT NULL,
    PRIMARY KEY (tenant, part)
) WITH (fillfactor = 10);                                 -- each commit changes a row

INSERT INTO forge_storage (tenant, part, bytes)
SELECT tenant, -1, sum(bytes) FROM (
    SELECT tenant, 256 + octet_length(input) + coalesce(octet_length(output), 0)
           + 2 * coalesce(octet_length(replace(error, chr(26), '')), 0) AS bytes
      FROM forge_runs
    UNION ALL
    SELECT r.tenant, 256 + octet_length(replace(s.name, chr(26), '')) + coalesce(octet_length(s.input), 0)
           + coalesce(octet_length(s.result), 0) + coalesce(octet_length(replace(s.error, chr(26), '')), 0)
      FROM forge_steps s JOIN forge_runs r ON r.id = s.run_id
) AS sizes GROUP BY tenant;

CREATE OR REPLACE FUNCTION forge_runs_deleted() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO forge_storage AS total (tenant, part, bytes)
    SELECT tenant, -1, -sum(bytes) FROM (
        SELECT tenant, 256 + octet_length(input) + coalesce(octet_length(output), 0)
               + 2 * coalesce(octet_length(replace(error, chr(26), '')), 0) AS bytes
          FROM deleted
        UNION ALL
        SELECT r.tenant, 256 + octet_length(replace(s.name, chr(26), '')) + coalesce(octet_length(s.input), 0)
               + coalesce(octet_length(s.result), 0) + coalesce(octet_length(replace(s.error, chr(26), '')), 0)
          FROM deleted r JOIN forge_steps s ON s.run_id = r.id
    ) AS sizes GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, part) DO UPDATE SET bytes = total.bytes + excluded.bytes;
    DELETE FROM forge_steps WHERE run_id IN (SELECT id FROM deleted);
    RETURN NULL;
END $$;

-- What a tenant's guests have logged, the lines that were dropped, and the lines of the audit log.
ALTER TABLE forge_usage ADD COLUMN log_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_usage ADD COLUMN log_dropped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_usage ADD COLUMN audit_lines BIGINT NOT NULL DEFAULT 0;
