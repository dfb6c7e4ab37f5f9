-- What others send to a run: events, ends of its children, and requests of its parent. An entry that the run has taken keeps
-- its key, so that the same event is not appended again; its payload is in the journal then.
CREATE TABLE forge_inbox (
    run_id  UUID NOT NULL,
    seq     BIGINT NOT NULL,                              -- position in the inbox, from 1
    at      BIGINT NOT NULL,
    taken   BIGINT,                                       -- seq of the call that took it, 0 for none; NULL: not taken
    kind    TEXT COLLATE "C" NOT NULL,                    -- event, child_ended, cancel
    name    TEXT COLLATE "C" NOT NULL,
    dedupe  TEXT COLLATE "C" NOT NULL,                    -- unique for the run, the kind and the name
    payload TEXT,                                         -- NULL: taken
    PRIMARY KEY (run_id, seq)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX forge_inbox_by_key ON forge_inbox (run_id, kind, name, dedupe);
CREATE INDEX forge_inbox_pending ON forge_inbox (run_id, seq) WHERE taken IS NULL;

-- The position of the last entry, and the events that were not taken. Senders change them.
ALTER TABLE forge_runs ADD COLUMN inbox_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_runs ADD COLUMN inbox_events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_runs ADD COLUMN inbox_bytes BIGINT NOT NULL DEFAULT 0;
-- The last entry that the host knew when it last saved the run: with later ones, the run is due.
ALTER TABLE forge_runs ADD COLUMN inbox_seen BIGINT NOT NULL DEFAULT 0;
-- What a waiting run waits for, as a JSON list.
ALTER TABLE forge_runs ADD COLUMN waits_for TEXT;
-- The run that started this one, as a JSON object.
ALTER TABLE forge_runs ADD COLUMN parent TEXT;
-- The kind of entry of the inbox that is the outcome of a call.
ALTER TABLE forge_steps ADD COLUMN awaits TEXT;
-- The run that a call has started.
ALTER TABLE forge_steps ADD COLUMN child_run TEXT;

-- Appends to the inbox of a run. Returns what became of it: `sent`, `duplicate`, `unknown`, the status of a final run, or the
-- limit that is reached; and the position, or what the inbox has; and the owner of the run.
CREATE FUNCTION forge_send(
    receiver UUID, sender TEXT, entry_kind TEXT, entry_name TEXT, entry_key TEXT, entry_payload TEXT, sent_at BIGINT,
    most_events BIGINT, most_bytes BIGINT, part BIGINT
) RETURNS TABLE (outcome TEXT, number BIGINT, owner BIGINT) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    run RECORD;
    size BIGINT := octet_length(entry_payload);
BEGIN
    SELECT r.status, r.inbox_seq, r.inbox_events, r.inbox_bytes, r.owner INTO run
      FROM forge_runs r WHERE r.id = receiver AND r.tenant = sender FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', 0::BIGINT, 0::BIGINT;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'duplicate', i.seq, run.owner FROM forge_inbox i
        WHERE i.run_id = receiver AND i.kind = entry_kind AND i.name = entry_name AND i.dedupe = entry_key;
    IF FOUND THEN
        RETURN;
    ELSIF run.status IN ('completed', 'compensated', 'failed') THEN
        RETURN QUERY SELECT run.status, 0::BIGINT, run.owner;
    ELSIF entry_kind = 'event' AND run.inbox_events >= most_events THEN
        RETURN QUERY SELECT 'inbox_events', run.inbox_events, run.owner;
    ELSIF entry_kind = 'event' AND run.inbox_bytes + size > most_bytes THEN
        RETURN QUERY SELECT 'inbox_bytes', run.inbox_bytes, run.owner;
    ELSE
        INSERT INTO forge_inbox (run_id, seq, at, kind, name, dedupe, payload)
            VALUES (receiver, run.inbox_seq + 1, sent_at, entry_kind, entry_name, entry_key, entry_payload);
        -- A paused run is due only if its parent asks it to roll back.
        UPDATE forge_runs SET inbox_seq = inbox_seq + 1,
            inbox_events = inbox_events + CASE WHEN entry_kind = 'event' THEN 1 ELSE 0 END,
            inbox_bytes = inbox_bytes + CASE WHEN entry_kind = 'event' THEN size ELSE 0 END,
            due_at = CASE WHEN due_at IS NOT NULL OR entry_kind = 'cancel' THEN 0 END
            WHERE id = receiver;
        INSERT INTO forge_storage AS total VALUES (sender, forge_send.part, 256 + size)
            ON CONFLICT ON CONSTRAINT forge_storage_pkey DO UPDATE SET bytes = total.bytes + excluded.bytes;
        RETURN QUERY SELECT 'sent', run.inbox_seq + 1, run.owner;
    END IF;
END $$;

-- Marks entries of an inbox as taken, each by a call.
CREATE FUNCTION forge_take(receiver UUID, entries BIGINT[], calls BIGINT[], part BIGINT)
RETURNS VOID LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    took RECORD;
    run_tenant TEXT;
BEGIN
    WITH wanted AS (
        SELECT i.run_id, i.seq, i.kind, octet_length(i.payload) AS size, w.call
          FROM forge_inbox i JOIN unnest(entries, calls) AS w (seq, call) ON i.run_id = receiver AND i.seq = w.seq
         WHERE i.taken IS NULL
    ), done AS (
        UPDATE forge_inbox i SET taken = w.call, payload = NULL FROM wanted w WHERE i.run_id = w.run_id AND i.seq = w.seq
    )
    SELECT count(*) FILTER (WHERE kind = 'event') AS events, coalesce(sum(size) FILTER (WHERE kind = 'event'), 0) AS bytes,
           coalesce(sum(size), 0) AS size INTO took FROM wanted;
    UPDATE forge_runs SET inbox_events = inbox_events - took.events, inbox_bytes = inbox_bytes - took.bytes
        WHERE id = receiver RETURNING tenant INTO run_tenant;
    IF run_tenant IS NOT NULL THEN
        INSERT INTO forge_storage AS total VALUES (run_tenant, forge_take.part, -took.size)
            ON CONFLICT ON CONSTRAINT forge_storage_pkey DO UPDATE SET bytes = total.bytes + excluded.bytes;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION forge_runs_deleted() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO forge_storage AS total (tenant, part, bytes)
    SELECT tenant, -1, -sum(bytes) FROM (
        SELECT tenant, 256 + octet_length(input) + coalesce(octet_length(output), 0)
               + 2 * coalesce(octet_length(replace(error, chr(26), '')), 0) AS bytes
          FROM deleted
        UNION ALL
        SELECT r.tenant, 256 + octet_length(replace(s.name, chr(26), '')) + coalesce(octet_length(s.input), 0)
               + coalesce(octet_length(s.result), 0) + coalesce(octet_length(replace(s.error, chr(26), '')), 0)
          FROM deleted r JOIN forge_steps s ON s.run_id = r.id
        UNION ALL
        SELECT r.tenant, 256 + coalesce(octet_length(i.payload), 0)
          FROM deleted r JOIN forge_inbox i ON i.run_id = r.id
    ) AS sizes GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, part) DO UPDATE SET bytes = total.bytes + excluded.bytes;
    DELETE FROM forge_steps WHERE run_id IN (SELECT id FROM deleted);
    DELETE FROM forge_inbox WHERE run_id IN (SELECT id FROM deleted);
    RETURN NULL;
END $$;
