-- Runs. The spec's `forge_workflow_runs` is the view below: two of its columns follow from the steps.
CREATE TABLE forge_runs (
    id              TEXT PRIMARY KEY,                     -- UUIDv7: new runs are appended to the index
    workflow_name   TEXT NOT NULL,
    version         INTEGER NOT NULL,
    digest          TEXT NOT NULL,                        -- the component that the run is pinned to
    input           TEXT NOT NULL DEFAULT '{}',
    output          TEXT,
    status          TEXT NOT NULL DEFAULT 'created',
    started_at      TEXT NOT NULL,
    completed_at    TEXT,
    deadline        TEXT NOT NULL,
    error           TEXT,                                 -- all that went wrong, for people
    failure         TEXT,                                 -- why it failed or is rolled back, JSON
    stuck           TEXT,                                 -- what could not be compensated
    pause_reason    TEXT,
    pause_message   TEXT,
    pause_from      TEXT,
    idempotency_key TEXT,
    auth            TEXT NOT NULL DEFAULT '{}',
    trace_id        TEXT
);

CREATE UNIQUE INDEX forge_runs_by_key ON forge_runs (workflow_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX forge_runs_by_workflow ON forge_runs (workflow_name, id);
-- For recovery, and for lists of what is not over.
CREATE INDEX forge_runs_unfinished ON forge_runs (id)
    WHERE status IN ('created', 'running', 'waiting', 'compensating');

-- The journal: one row per call of the guest, clustered by run.
CREATE TABLE forge_workflow_steps (
    workflow_run_id TEXT NOT NULL REFERENCES forge_runs (id),
    seq             INTEGER NOT NULL,                     -- position in the run, from 1
    id              TEXT GENERATED ALWAYS AS (workflow_run_id || '.' || seq) VIRTUAL,
    kind            TEXT NOT NULL,                        -- step, compensation, http, sleep, timeout, time
    step_name       TEXT NOT NULL,
    status          TEXT NOT NULL DEFAULT 'pending',
    input           TEXT,
    result          TEXT,
    started_at      TEXT,
    completed_at    TEXT,
    error           TEXT,
    error_kind      TEXT,
    error_retryable INTEGER,
    scope_step      INTEGER NOT NULL,                     -- seq of the step it belongs to, 0 for the body
    scope_attempt   INTEGER NOT NULL,
    call_index      INTEGER,                              -- index in that scope
    fingerprint     INTEGER NOT NULL,                     -- what replay compares
    options         TEXT,
    attempt         INTEGER NOT NULL,
    attempt_orders  TEXT,                                 -- places of later attempts' beginnings, JSON
    call_order      INTEGER,                              -- place of its end in what the guest saw
    wake_at         TEXT,
    PRIMARY KEY (workflow_run_id, seq)
) WITHOUT ROWID;

CREATE UNIQUE INDEX forge_workflow_steps_by_name ON forge_workflow_steps (workflow_run_id, step_name)
    WHERE kind = 'step';

CREATE VIEW forge_workflow_runs AS
SELECT id, workflow_name, version, input, output, status,
       CASE WHEN status <> 'completed' THEN
           (SELECT step_name FROM forge_workflow_steps s
             WHERE s.workflow_run_id = r.id AND s.kind = 'step'
             ORDER BY s.status = 'running' DESC, s.seq DESC LIMIT 1)
       END AS current_step,
       (SELECT json_group_object(step_name, json(coalesce(result, 'null'))) FROM forge_workflow_steps s
         WHERE s.workflow_run_id = r.id AND s.kind = 'step'
           AND s.status IN ('completed', 'compensated')) AS step_results,
       started_at, completed_at, error, trace_id, digest, deadline, pause_reason, idempotency_key
  FROM forge_runs r;

-- Components, by the SHA-256 of their bytes. They never change.
CREATE TABLE forge_workflow_modules (
    digest      TEXT PRIMARY KEY,
    component   BLOB NOT NULL,
    uploaded_at TEXT NOT NULL
);

CREATE TABLE forge_workflow_versions (
    workflow_name TEXT NOT NULL,
    version       INTEGER NOT NULL,
    digest        TEXT NOT NULL REFERENCES forge_workflow_modules (digest),
    timeout_ms    INTEGER NOT NULL,
    deprecated    INTEGER NOT NULL DEFAULT 0,
    active        INTEGER NOT NULL DEFAULT 0,
    created_at    TEXT NOT NULL,
    PRIMARY KEY (workflow_name, version)
) WITHOUT ROWID;
