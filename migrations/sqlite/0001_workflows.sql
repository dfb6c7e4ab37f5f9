-- `forge_workflow_runs` and `forge_workflow_steps` of the spec are the views below. In the tables behind them, times are
-- milliseconds since 1970, and keys are ascending integers, so that rows are appended to full pages. No index needs a
-- random write when a run or a step starts.

CREATE TABLE forge_runs (
    number          INTEGER PRIMARY KEY,                  -- in the order in which they began
    id              TEXT NOT NULL UNIQUE,                 -- UUIDv7
    workflow_name   TEXT NOT NULL,
    version         INTEGER NOT NULL,
    digest          TEXT NOT NULL,                        -- the component that the run is pinned to
    input           TEXT NOT NULL,
    output          TEXT,
    status          TEXT NOT NULL,
    started_at      INTEGER NOT NULL,
    completed_at    INTEGER,
    deadline        INTEGER NOT NULL,
    wake_at         INTEGER,                              -- end of a wait for time only
    due_at          INTEGER,                              -- when the host must execute it; 0: now, NULL: never
    error           TEXT,                                 -- all that went wrong, for people
    failure         TEXT,                                 -- why it failed or is rolled back, JSON
    stuck           TEXT,                                 -- what could not be compensated
    pause_reason    TEXT,
    pause_message   TEXT,
    pause_from      TEXT,
    idempotency_key TEXT,
    auth            TEXT NOT NULL,
    trace_id        TEXT
);

CREATE UNIQUE INDEX forge_runs_by_key ON forge_runs (workflow_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX forge_runs_by_workflow ON forge_runs (workflow_name);
-- For recovery and timers. Runs that are final or paused are not in it.
CREATE INDEX forge_runs_due ON forge_runs (due_at) WHERE due_at IS NOT NULL;

-- The journal: one row per call of the guest, clustered by run.
CREATE TABLE forge_steps (
    key             INTEGER PRIMARY KEY,                  -- the run's number << 24 | position in the run, from 1
    kind            TEXT NOT NULL,                        -- step, compensation, http, sleep, timeout, time
    name            TEXT NOT NULL,                        -- unique in the run, for steps
    status          TEXT NOT NULL,
    input           TEXT,
    result          TEXT,
    started_at      INTEGER NOT NULL,
    completed_at    INTEGER,
    error           TEXT,
    error_kind      TEXT,
    error_retryable INTEGER,
    scope_step      INTEGER NOT NULL,                     -- seq of the step it belongs to, 0 for the body
    scope_attempt   INTEGER NOT NULL,
    call_index      INTEGER,                              -- index in the scope
    fingerprint     INTEGER NOT NULL,                     -- compared in replay
    options         TEXT,
    attempt         INTEGER NOT NULL,
    attempt_orders  TEXT,                                 -- positions of the beginnings of later attempts, JSON
    call_order      INTEGER,                              -- position of its end in what the guest saw
    wake_at         INTEGER
);

-- Deletes the journal of a deleted run.
CREATE TRIGGER forge_runs_deleted AFTER DELETE ON forge_runs
BEGIN
    DELETE FROM forge_steps WHERE key BETWEEN old.number << 24 AND (old.number << 24) + 16777215;
END;

CREATE VIEW forge_workflow_steps AS
SELECT r.id || '.' || (s.key & 16777215) AS id, r.id AS workflow_run_id, s.key & 16777215 AS seq, s.kind,
       s.name AS step_name, s.status, s.input, s.result,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.completed_at / 1000.0, 'unixepoch') AS completed_at,
       s.error, s.error_kind, s.scope_step, s.scope_attempt, s.call_index, s.fingerprint, s.attempt, s.call_order,
       s.options,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.wake_at / 1000.0, 'unixepoch') AS wake_at
  FROM forge_steps s
  -- The second condition lets a query use the primary key of the rows of a run.
  JOIN forge_runs r ON r.number = s.key >> 24 AND s.key BETWEEN r.number << 24 AND (r.number << 24) + 16777215;

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
       pause_reason, idempotency_key
  FROM forge_runs r;

-- Components, by the SHA-256 of their bytes. They are immutable.
CREATE TABLE forge_workflow_modules (
    digest      TEXT PRIMARY KEY,
    component   BLOB,                                     -- NULL: in the object store
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
