-- The tenant of runs and versions. Existing ones belong to the tenant `default`.
ALTER TABLE forge_runs ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
-- Units of fuel that the run has consumed.
ALTER TABLE forge_runs ADD COLUMN fuel INTEGER NOT NULL DEFAULT 0;

DROP INDEX forge_runs_by_key;
CREATE UNIQUE INDEX forge_runs_by_key ON forge_runs (tenant, workflow_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
DROP INDEX forge_runs_by_workflow;
CREATE INDEX forge_runs_by_workflow ON forge_runs (tenant, workflow_name);
-- A host with the tenant `default` only does not maintain this index.
CREATE INDEX forge_runs_by_tenant ON forge_runs (tenant) WHERE tenant <> 'default';

DROP VIEW forge_workflow_runs;
CREATE VIEW forge_workflow_runs AS
SELECT id, workflow_name, version, input, output, status,
       CASE WHEN status <> 'completed' THEN
           (SELECT name FROM forge_steps s
             WHERE s.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215 AND s.kind = 'step'
             ORDER BY s.status = 'running' DESC, s.key DESC LIMIT 1)
       END AS current_step,
       (SELECT json_group_object(name, json(coalesce(result, 'null'))) FROM forge_steps s
         WHERE s.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215
           AND s.kind = 'step' AND s.status IN ('completed', 'compensated')) AS step_results,
       strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1000.0, 'unixepoch') AS completed_at,
       error, trace_id, digest,
       strftime('%Y-%m-%dT%H:%M:%fZ', deadline / 1000.0, 'unixepoch') AS deadline,
       strftime('%Y-%m-%dT%H:%M:%fZ', wake_at / 1000.0, 'unixepoch') AS wake_at,
       pause_reason, idempotency_key, tenant, fuel
  FROM forge_runs r;

ALTER TABLE forge_workflow_versions RENAME TO forge_workflow_versions_before;
CREATE TABLE forge_workflow_versions (
    tenant        TEXT NOT NULL DEFAULT 'default',
    workflow_name TEXT NOT NULL,
    version       INTEGER NOT NULL,
    digest        TEXT NOT NULL REFERENCES forge_workflow_modules (digest),
    timeout_ms    INTEGER NOT NULL,
    deprecated    INTEGER NOT NULL DEFAULT 0,
    active        INTEGER NOT NULL DEFAULT 0,
    created_at    TEXT NOT NULL,
    PRIMARY KEY (tenant, workflow_name, version)
) WITHOUT ROWID;
INSERT INTO forge_workflow_versions (workflow_name, version, digest, timeout_ms, deprecated, active, created_at)
SELECT workflow_name, version, digest, timeout_ms, deprecated, active, created_at FROM forge_workflow_versions_before;
DROP TABLE forge_workflow_versions_before;

-- Tenants, API keys and secrets, as JSON documents. Keys without a tenant are those of the host. Keys are hashed, secrets
-- are encrypted.
CREATE TABLE forge_directory (
    kind     TEXT NOT NULL,                               -- tenant, key, secret
    tenant   TEXT NOT NULL,                               -- '': the host itself
    name     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, tenant, name)
) WITHOUT ROWID;

-- The audit log. It is append-only.
CREATE TABLE forge_audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    tenant  TEXT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT
);
CREATE INDEX forge_audit_by_tenant ON forge_audit (tenant);
CREATE TRIGGER forge_audit_stays BEFORE UPDATE ON forge_audit
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER forge_audit_is_kept BEFORE DELETE ON forge_audit
BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END;

-- The usage of tenants per hour.
CREATE TABLE forge_usage (
    tenant        TEXT NOT NULL,
    hour          INTEGER NOT NULL,                       -- hours since 1970
    fuel          INTEGER NOT NULL,
    runs          INTEGER NOT NULL,
    steps         INTEGER NOT NULL,
    http_requests INTEGER NOT NULL,
    http_bytes    INTEGER NOT NULL,
    journal_bytes INTEGER NOT NULL,
    run_ms        INTEGER NOT NULL,
    PRIMARY KEY (tenant, hour)
) WITHOUT ROWID;
