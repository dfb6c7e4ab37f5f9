-- The tenant of runs and versions. Existing ones belong to the tenant `default`.
ALTER TABLE forge_runs ADD COLUMN tenant TEXT COLLATE "C" NOT NULL DEFAULT 'default';
-- Units of fuel that the run has consumed.
ALTER TABLE forge_runs ADD COLUMN fuel BIGINT NOT NULL DEFAULT 0;

DROP INDEX forge_runs_by_key;
CREATE UNIQUE INDEX forge_runs_by_key ON forge_runs (tenant, workflow_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
DROP INDEX forge_runs_by_workflow;
CREATE INDEX forge_runs_by_workflow ON forge_runs (tenant, workflow_name, id);
-- A host with the tenant `default` only does not maintain this index.
CREATE INDEX forge_runs_by_tenant ON forge_runs (tenant, id) WHERE tenant <> 'default';

CREATE OR REPLACE VIEW forge_workflow_runs AS
SELECT id, workflow_name, version::TEXT AS version, forge_json(input) AS input, forge_json(output) AS output, status,
       CASE WHEN status <> 'completed' THEN
           (SELECT name FROM forge_steps s WHERE s.run_id = r.id AND s.kind = 'step'
             ORDER BY s.status = 'running' DESC, s.seq DESC LIMIT 1)
       END AS current_step,
       (SELECT coalesce(jsonb_object_agg(name, forge_json(coalesce(result, 'null'))), '{}') FROM forge_steps s
         WHERE s.run_id = r.id AND s.kind = 'step' AND s.status IN ('completed', 'compensated')) AS step_results,
       forge_time(started_at) AS started_at, forge_time(completed_at) AS completed_at, error, trace_id, digest,
       forge_time(deadline) AS deadline, forge_time(wake_at) AS wake_at, pause_reason, idempotency_key, owner,
       tenant, fuel
  FROM forge_runs r;

ALTER TABLE forge_workflow_versions ADD COLUMN tenant TEXT COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE forge_workflow_versions DROP CONSTRAINT forge_workflow_versions_pkey;
ALTER TABLE forge_workflow_versions ADD PRIMARY KEY (tenant, workflow_name, version);

-- Tenants, API keys and secrets, as JSON documents. Keys without a tenant are those of the host. Keys are hashed, secrets
-- are encrypted.
CREATE TABLE forge_directory (
    kind     TEXT COLLATE "C" NOT NULL,                   -- tenant, key, secret
    tenant   TEXT COLLATE "C" NOT NULL,                   -- '': the host itself
    name     TEXT COLLATE "C" NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, tenant, name)
);

-- The audit log. It is append-only.
CREATE TABLE forge_audit (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    tenant  TEXT COLLATE "C" NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT
);
CREATE INDEX forge_audit_by_tenant ON forge_audit (tenant, seq);

CREATE FUNCTION forge_audit_stays() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER forge_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON forge_audit
    FOR EACH STATEMENT EXECUTE FUNCTION forge_audit_stays();

-- The usage of tenants per hour.
CREATE TABLE forge_usage (
    tenant        TEXT COLLATE "C" NOT NULL,
    hour          BIGINT NOT NULL,                        -- hours since 1970
    fuel          BIGINT NOT NULL,
    runs          BIGINT NOT NULL,
    steps         BIGINT NOT NULL,
    http_requests BIGINT NOT NULL,
    http_bytes    BIGINT NOT NULL,
    journal_bytes BIGINT NOT NULL,
    run_ms        BIGINT NOT NULL,
    PRIMARY KEY (tenant, hour)
);
