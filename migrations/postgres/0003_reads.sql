-- The revision of the journal in which a run or a row last changed. A write with an older one is refused.
ALTER TABLE forge_runs ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_steps ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- Fails a statement that would write a row over a newer one.
CREATE FUNCTION forge_outdated() RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the database has a newer state of a run than the host that writes' USING ERRCODE = 'FG001';
END $$;

-- The last step that began before the call, so that the last steps of a run are found without reading its journal; NULL in
-- rows of earlier versions.
ALTER TABLE forge_steps ADD COLUMN step_before BIGINT;

-- For lists of runs, the newest first. A list without a status is merged from one search for each status. NULLS LAST is an
-- order that the primary key does not have: otherwise PostgreSQL may scan that, and filter.
DROP INDEX forge_runs_by_tenant;
DROP INDEX forge_runs_by_workflow;
CREATE INDEX forge_runs_by_status ON forge_runs (tenant, status, id DESC NULLS LAST);
CREATE INDEX forge_runs_by_workflow_status ON forge_runs (tenant, workflow_name, status, id DESC NULLS LAST);
