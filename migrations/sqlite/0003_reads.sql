-- The revision of the journal in which a run or a row last changed. A write with an older one is refused.
ALTER TABLE forge_runs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_steps ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

-- For lists of runs, the newest first. A list without a status is merged from one search for each status.
DROP INDEX forge_runs_by_tenant;
DROP INDEX forge_runs_by_workflow;
CREATE INDEX forge_runs_by_status ON forge_runs (tenant, status);
CREATE INDEX forge_runs_by_workflow_status ON forge_runs (tenant, workflow_name, status);
