-- The lines that workflows log, clustered by run. They are written in the commit of the run's other changes.
CREATE TABLE forge_logs (
    key           INTEGER PRIMARY KEY,                    -- the run's number << 24 | position among the lines, from 1
    at            INTEGER NOT NULL,
    level         INTEGER NOT NULL,                       -- 0 trace, 1 debug, 2 info, 3 warn, 4 error
    scope_step    INTEGER NOT NULL,                       -- seq of the step that logged it, 0 for the body
    scope_attempt INTEGER NOT NULL,
    step          TEXT,                                   -- the name of the step
    message       TEXT NOT NULL,
    revision      INTEGER NOT NULL                        -- of the journal with which it was written
);

CREATE VIEW forge_workflow_logs AS
SELECT r.id AS workflow_run_id, l.key & 16777215 AS seq, strftime('%Y-%m-%dT%H:%M:%fZ', l.at / 1000.0, 'unixepoch') AS at,
       CASE l.level WHEN 0 THEN 'trace' WHEN 1 THEN 'debug' WHEN 2 THEN 'info' WHEN 3 THEN 'warn' ELSE 'error' END AS level,
       l.step AS step_name, l.scope_step, l.scope_attempt, l.message
  FROM forge_logs l
  -- The second condition lets a query use the primary key of the lines of a run.
  JOIN forge_runs r ON r.number = l.key >> 24 AND l.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215;

-- The number and size of the lines of a run, as a JSON object; NULL: none.
ALTER TABLE forge_runs ADD COLUMN notes TEXT;
-- The last value of each name that a run has published, as a JSON object.
ALTER TABLE forge_runs ADD COLUMN published TEXT;
-- The number of the last line or value of the current attempt; NULL: none.
ALTER TABLE forge_steps ADD COLUMN notes INTEGER;

-- Deletes the lines of a deleted run. Another trigger deletes the journal.
CREATE TRIGGER forge_runs_deleted_notes AFTER DELETE ON forge_runs
WHEN old.notes IS NOT NULL OR old.published IS NOT NULL
BEGIN
    UPDATE forge_storage SET bytes = bytes - coalesce(octet_length(old.published), 0)
       - coalesce((SELECT sum(100 + octet_length(l.message) + coalesce(octet_length(l.step), 0))
                     FROM forge_logs l WHERE l.key BETWEEN old.number << 24 AND (old.number << 24) + 16777215), 0)
     WHERE tenant = old.tenant;
    DELETE FROM forge_logs WHERE key BETWEEN old.number << 24 AND (old.number << 24) + 16777215;
END;
