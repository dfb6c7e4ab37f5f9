-- `forge_workflow_runs` and `forge_workflow_steps` of the spec are the views below. In the tables behind them, times are
-- milliseconds since 1970, and documents are text, because replay returns the same bytes to a guest. Columns of a fixed
-- length come first, so that no padding is needed.

CREATE TABLE forge_runs (
    id              UUID PRIMARY KEY,                     -- UUIDv7: rows of new runs are appended
    owner           BIGINT NOT NULL,                      -- epoch of the node that executes it; 0: unowned
    version         BIGINT NOT NULL,
    started_at      BIGINT NOT NULL,
    deadline        BIGINT NOT NULL,
    completed_at    BIGINT,
    wake_at         BIGINT,                               -- end of a wait for time only
    due_at          BIGINT,                               -- when a host must execute it; 0: now, NULL: never
    workflow_name   TEXT COLLATE "C" NOT NULL,
    digest          TEXT COLLATE "C" NOT NULL,            -- the component that the run is pinned to
    status          TEXT COLLATE "C" NOT NULL,
    input           TEXT NOT NULL,
    auth            TEXT NOT NULL,
    output          TEXT,
    error           TEXT,                                 -- all that went wrong, for people
    failure         TEXT,                                 -- why it failed or is rolled back, JSON
    stuck           TEXT,                                 -- what could not be compensated
    pause_reason    TEXT,
    pause_message   TEXT,
    pause_from      TEXT,
    idempotency_key TEXT COLLATE "C",
    trace_id        TEXT
) WITH (fillfactor = 80);                                 -- a run changes a few times soon after it began

CREATE UNIQUE INDEX forge_runs_by_key ON forge_runs (workflow_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX forge_runs_by_workflow ON forge_runs (workflow_name, id);
-- For claims, recovery and timers. Runs that are final or paused are not in it.
CREATE INDEX forge_runs_due ON forge_runs (owner, due_at, id) WHERE due_at IS NOT NULL;

-- The journal: one row per call of the guest. A foreign key would look up the run for each row.
CREATE TABLE forge_steps (
    run_id          UUID NOT NULL,
    seq             BIGINT NOT NULL,                      -- position in the run, from 1
    fingerprint     BIGINT NOT NULL,                      -- compared in replay
    started_at      BIGINT NOT NULL,
    scope_step      BIGINT NOT NULL,                      -- seq of the step it belongs to, 0 for the body
    scope_attempt   BIGINT NOT NULL,
    attempt         BIGINT NOT NULL,
    call_index      BIGINT,                               -- index in the scope
    call_order      BIGINT,                               -- position of its end in what the guest saw
    completed_at    BIGINT,
    wake_at         BIGINT,
    error_retryable BOOLEAN,
    kind            TEXT COLLATE "C" NOT NULL,            -- step, compensation, http, sleep, timeout, time
    status          TEXT COLLATE "C" NOT NULL,
    name            TEXT NOT NULL,                        -- unique in the run, for steps
    input           TEXT,
    result          TEXT,
    error           TEXT,
    error_kind      TEXT,
    options         TEXT,
    attempt_orders  TEXT,                                 -- positions of the beginnings of later attempts, JSON
    PRIMARY KEY (run_id, seq)
) WITH (fillfactor = 90);

-- Deletes the journals of deleted runs.
CREATE FUNCTION forge_runs_deleted() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM forge_steps WHERE run_id IN (SELECT id FROM deleted);
    RETURN NULL;
END $$;

CREATE TRIGGER forge_runs_deleted AFTER DELETE ON forge_runs
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forge_runs_deleted();

-- Returns a document as JSONB. A document that JSONB does not support, for example with \u0000, is returned as a string, so
-- that it does not make the view unreadable.
CREATE FUNCTION forge_json(document TEXT) RETURNS JSONB LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN document::JSONB;
EXCEPTION WHEN OTHERS THEN
    RETURN to_jsonb(document);
END $$;

-- Returns a time, limited to the range of PostgreSQL.
CREATE FUNCTION forge_time(milliseconds BIGINT) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT to_timestamp(least(greatest(milliseconds, -210000000000000), 9000000000000000) / 1000.0)
$$;

CREATE VIEW forge_workflow_steps AS
SELECT md5(run_id || '.' || seq)::UUID AS id, run_id AS workflow_run_id, seq, kind, name AS step_name, status,
       forge_json(input) AS input, forge_json(result) AS result, forge_time(started_at) AS started_at,
       forge_time(completed_at) AS completed_at, error, error_kind, scope_step, scope_attempt, call_index,
       fingerprint, attempt, call_order, forge_json(options) AS options, forge_time(wake_at) AS wake_at
  FROM forge_steps;

CREATE VIEW forge_workflow_runs AS
SELECT id, workflow_name, version::TEXT AS version, forge_json(input) AS input, forge_json(output) AS output, status,
       CASE WHEN status <> 'completed' THEN
           (SELECT name FROM forge_steps s WHERE s.run_id = r.id AND s.kind = 'step'
             ORDER BY s.status = 'running' DESC, s.seq DESC LIMIT 1)
       END AS current_step,
       (SELECT coalesce(jsonb_object_agg(name, forge_json(coalesce(result, 'null'))), '{}') FROM forge_steps s
         WHERE s.run_id = r.id AND s.kind = 'step' AND s.status IN ('completed', 'compensated')) AS step_results,
       forge_time(started_at) AS started_at, forge_time(completed_at) AS completed_at, error, trace_id, digest,
       forge_time(deadline) AS deadline, forge_time(wake_at) AS wake_at, pause_reason, idempotency_key, owner
  FROM forge_runs r;

-- Components, by the SHA-256 of their bytes. They are immutable.
CREATE TABLE forge_workflow_modules (
    digest      TEXT COLLATE "C" PRIMARY KEY,
    component   BYTEA,
    uploaded_at BIGINT NOT NULL
);
-- Compression would save little, and cost time in each read.
ALTER TABLE forge_workflow_modules ALTER COLUMN component SET STORAGE EXTERNAL;

CREATE TABLE forge_workflow_versions (
    workflow_name TEXT COLLATE "C" NOT NULL,
    version       BIGINT NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL REFERENCES forge_workflow_modules (digest),
    timeout_ms    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    deprecated    BOOLEAN NOT NULL DEFAULT FALSE,
    active        BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (workflow_name, version)
);

-- One row per epoch of a node. The epoch ends when `ended_at` is set: by the node, by a process that takes its name, or by
-- another node after its lease has expired. The statement that sets it locks the row FOR UPDATE, and each batch locks it
-- FOR KEY SHARE, so that no batch is committed after its epoch has ended.
CREATE TABLE forge_nodes (
    epoch       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    version     TEXT NOT NULL,
    writer      BIGINT NOT NULL DEFAULT 0,                -- number of the connection that may write
    lease_ms    BIGINT NOT NULL,
    started_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    lease_until TIMESTAMPTZ NOT NULL,
    ended_at    TIMESTAMPTZ,
    ended_why   TEXT                                      -- stopped, replaced, lease
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX forge_nodes_by_name ON forge_nodes (name) WHERE ended_at IS NULL;

-- Requests to the nodes that execute runs. A row exists for some seconds.
CREATE TABLE forge_questions (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   UUID NOT NULL,
    owner    BIGINT NOT NULL,                             -- the epoch of the receiver
    ask      TEXT NOT NULL,
    answer   TEXT,
    asked_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- Reactivity: one notification per statement on the channel `forge_workflow_runs` or `forge_workflow_steps`.
-- The payload is {"op", "ids", "more"}: run ids, as many as fit into a notification.
CREATE FUNCTION forge_changed() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    room CONSTANT INT := 190;                             -- ids that fit into 8,000 bytes
    ids UUID[];
BEGIN
    EXECUTE format('SELECT ARRAY(SELECT DISTINCT %I FROM changed LIMIT %s)', TG_ARGV[1], room + 1) INTO ids;
    IF cardinality(ids) > 0 THEN
        PERFORM pg_notify(TG_ARGV[0], json_build_object(
            'op', lower(TG_OP), 'ids', to_json(ids[1:room]), 'more', cardinality(ids) > room)::TEXT);
    END IF;
    RETURN NULL;
END $$;

-- Returns the table behind a view of the spec, and its column with the run's id.
CREATE FUNCTION forge_reactive(name TEXT, OUT base TEXT, OUT run TEXT) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE name
        WHEN 'forge_workflow_runs' THEN base := 'forge_runs'; run := 'id';
        WHEN 'forge_workflow_steps' THEN base := 'forge_steps'; run := 'run_id';
        ELSE RAISE EXCEPTION 'there is no reactivity for %: only for forge_workflow_runs and forge_workflow_steps',
            coalesce(quote_literal(name), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END CASE;
END $$;

CREATE FUNCTION forge_disable_reactivity(name TEXT) RETURNS VOID LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    target RECORD;
    op TEXT;
BEGIN
    SELECT * INTO target FROM forge_reactive(name);
    FOREACH op IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', 'forge_reactivity_' || op, target.base);
    END LOOP;
END $$;

CREATE FUNCTION forge_enable_reactivity(name TEXT) RETURNS VOID LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    target RECORD;
    op TEXT;
BEGIN
    SELECT * INTO target FROM forge_reactive(name);
    PERFORM forge_disable_reactivity(name);
    FOREACH op IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
        EXECUTE format(
            'CREATE TRIGGER %I AFTER %s ON %I REFERENCING %s TABLE AS changed '
            'FOR EACH STATEMENT EXECUTE FUNCTION forge_changed(%L, %L)',
            'forge_reactivity_' || op, op, target.base, CASE op WHEN 'delete' THEN 'OLD' ELSE 'NEW' END,
            name, target.run);
    END LOOP;
END $$;
