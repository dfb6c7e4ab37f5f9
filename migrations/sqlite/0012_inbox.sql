-- What others send to a run: events, ends of its children, and requests of its parent. An entry that the run has taken keeps
-- its key, so that the same event is not appended again; its payload is in the journal then.
CREATE TABLE forge_inbox (
    key     INTEGER PRIMARY KEY,                          -- the run's number << 24 | position in the inbox, from 1
    kind    TEXT NOT NULL,                                -- event, child_ended, cancel
    name    TEXT NOT NULL,
    dedupe  TEXT NOT NULL,                                -- unique for the run, the kind and the name
    payload TEXT,                                         -- NULL: taken
    at      INTEGER NOT NULL,
    taken   INTEGER                                       -- seq of the call that took it, 0 for none; NULL: not taken
);
CREATE UNIQUE INDEX forge_inbox_by_key ON forge_inbox (key >> 24, kind, name, dedupe);
CREATE INDEX forge_inbox_pending ON forge_inbox (key) WHERE taken IS NULL;

-- The position of the last entry, and the events that were not taken. Senders change them.
ALTER TABLE forge_runs ADD COLUMN inbox_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_runs ADD COLUMN inbox_events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_runs ADD COLUMN inbox_bytes INTEGER NOT NULL DEFAULT 0;
-- The last entry that the host knew when it last saved the run: with later ones, the run is due.
ALTER TABLE forge_runs ADD COLUMN inbox_seen INTEGER NOT NULL DEFAULT 0;
-- What a waiting run waits for, as a JSON list.
ALTER TABLE forge_runs ADD COLUMN waits_for TEXT;
-- The run that started this one, as a JSON object.
ALTER TABLE forge_runs ADD COLUMN parent TEXT;
-- The kind of entry of the inbox that is the outcome of a call.
ALTER TABLE forge_steps ADD COLUMN awaits TEXT;
-- The run that a call has started.
ALTER TABLE forge_steps ADD COLUMN child_run TEXT;

DROP TRIGGER forge_runs_deleted;
CREATE TRIGGER forge_runs_deleted AFTER DELETE ON forge_runs
BEGIN
    UPDATE forge_storage SET bytes = bytes
       - (256 + octet_length(old.input) + coalesce(octet_length(old.output), 0) + 2 * coalesce(octet_length(old.error), 0))
       - coalesce((SELECT sum(256 + octet_length(s.name) + coalesce(octet_length(s.input), 0)
                              + coalesce(octet_length(s.result), 0) + coalesce(octet_length(s.error), 0))
                     FROM forge_steps s WHERE s.key BETWEEN old.number << 24 AND (old.number << 24) + 16777215), 0)
       - coalesce((SELECT sum(256 + coalesce(octet_length(i.payload), 0))
                     FROM forge_inbox i WHERE i.key BETWEEN old.number << 24 AND (old.number << 24) + 16777215), 0)
     WHERE tenant = old.tenant;
    DELETE FROM forge_steps WHERE key BETWEEN old.number << 24 AND (old.number << 24) + 16777215;
    DELETE FROM forge_inbox WHERE key BETWEEN old.number << 24 AND (old.number << 24) + 16777215;
END;
