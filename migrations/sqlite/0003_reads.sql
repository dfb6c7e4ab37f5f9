-- The revision of the journal in which a run or a row last changed. A write with an older one is refused.
ALTER TABLE forge_runs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_steps ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- The last step that began before the call, so that the last steps of a run are found without reading its journal; NULL in
-- rows of earlier versions.
ALTER TABLE forge_steps ADD COLUMN step_before INTEGER;

-- For lists of runs, the newest first. A list without a status is merged from one search for each status.
DROP INDEX forge_runs_by_tenant;
DROP INDEX forge_runs_by_workflow;
CREATE INDEX forge_runs_by_status ON forge_runs (tenant, status);
CREATE INDEX forge_runs_by_workflow_status ON forge_runs (tenant, workflow_name, status);

-- A document that SQLite's JSON functions do not take, for example because it is nested too deep, is shown as a text, so that
-- it does not make the view unreadable.
DROP VIEW forge_workflow_runs;
CREATE VIEW forge_workflow_runs AS
SELECT id, workflow_name, version, input, output, status,
       CASE WHEN status <> 'completed' THEN
           (SELECT name FROM forge_steps s
             WHERE s.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215 AND s.kind = 'step'
             ORDER BY s.status = 'running' DESC, s.key DESC LIMIT 1)
       END AS current_step,
       (SELECT json_group_object(name, CASE WHEN json_valid(result) THEN json(result) ELSE json_quote(result) END)
          FROM forge_steps s
         WHERE s.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215
           AND s.kind = 'step' AND s.status IN ('completed', 'compensated')) AS step_results,
       strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1000.0, 'unixepoch') AS completed_at,
       error, trace_id, digest,
       strftime('%Y-%m-%dT%H:%M:%fZ', deadline / 1000.0, 'unixepoch') AS deadline,
       strftime('%Y-%m-%dT%H:%M:%fZ', wake_at / 1000.0, 'unixepoch') AS wake_at,
       pause_reason, idempotency_key, tenant, fuel
  FROM forge_runs r;
