-- The lines that workflows log. They are written in the commit of the run's other changes.
CREATE TABLE forge_logs (
    run_id        UUID NOT NULL,
    seq           BIGINT NOT NULL,                        -- position among the lines of the run, from 1
    at            BIGINT NOT NULL,
    level         BIGINT NOT NULL,                        -- 0 trace, 1 debug, 2 info, 3 warn, 4 error
    scope_step    BIGINT NOT NULL,                        -- seq of the step that logged it, 0 for the body
    scope_attempt BIGINT NOT NULL,
    revision      BIGINT NOT NULL,                        -- of the journal with which it was written
    step          TEXT COLLATE "C",                       -- the name of the step
    message       TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE VIEW forge_workflow_logs AS
SELECT run_id AS workflow_run_id, seq, forge_time(at) AS at,
       CASE level WHEN 0 THEN 'trace' WHEN 1 THEN 'debug' WHEN 2 THEN 'info' WHEN 3 THEN 'warn' ELSE 'error' END AS level,
       step AS step_name, scope_step, scope_attempt, message
  FROM forge_logs;

-- The number and size of the lines of a run, as a JSON object; NULL: none.
ALTER TABLE forge_runs ADD COLUMN notes TEXT;
-- The last value of each name that a run has published, as a JSON object.
ALTER TABLE forge_runs ADD COLUMN published TEXT;
-- The number of the last line or value of the current attempt; NULL: none.
ALTER TABLE forge_steps ADD COLUMN notes BIGINT;

-- Deletes the lines of deleted runs. Another trigger deletes the journals.
CREATE FUNCTION forge_runs_deleted_notes() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO forge_storage AS total (tenant, part, bytes)
    SELECT tenant, -1, -sum(bytes) FROM (
        SELECT tenant, octet_length(published) AS bytes FROM deleted WHERE published IS NOT NULL
        UNION ALL
        SELECT r.tenant, 100 + octet_length(replace(l.message, chr(26), ''))
               + coalesce(octet_length(replace(l.step, chr(26), '')), 0)
          FROM deleted r JOIN forge_logs l ON l.run_id = r.id WHERE r.notes IS NOT NULL
    ) AS sizes GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, part) DO UPDATE SET bytes = total.bytes + excluded.bytes;
    DELETE FROM forge_logs WHERE run_id IN (SELECT id FROM deleted WHERE notes IS NOT NULL);
    RETURN NULL;
END $$;

CREATE TRIGGER forge_runs_deleted_notes AFTER DELETE ON forge_runs REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION forge_runs_deleted_notes();
