-- Runs can be found by their key, whatever their workflow.
DROP INDEX forge_runs_by_key;
CREATE UNIQUE INDEX forge_runs_by_key ON forge_runs (tenant, idempotency_key, workflow_name)
    WHERE idempotency_key IS NOT NULL;
