-- The tags of a run, as a JSON object; NULL for none.
ALTER TABLE forge_runs ADD COLUMN tags TEXT;
-- The kind of the failure of a run that failed, is rolled back or is to be rolled back.
ALTER TABLE forge_runs ADD COLUMN error_kind TEXT;
UPDATE forge_runs SET error_kind = json_extract(failure, '$.kind') WHERE failure IS NOT NULL AND json_valid(failure);

-- Runs without a failure are not in it.
CREATE INDEX forge_runs_by_error_kind ON forge_runs (tenant, error_kind, status) WHERE error_kind IS NOT NULL;

-- The same tags, for lists of runs. The tenant and the status are those of the run: a list with a tag and a status is one
-- search. A run without tags has no rows.
CREATE TABLE forge_run_tags (
    number INTEGER NOT NULL,                              -- of the run
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    tenant TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (number, name)
) WITHOUT ROWID;
CREATE INDEX forge_run_tags_by_value ON forge_run_tags (tenant, name, value, status, number);

-- Writes the tags of a run that has some, when it is inserted and when its status or its tags have changed.
CREATE TRIGGER forge_run_tagged AFTER INSERT ON forge_runs WHEN new.tags IS NOT NULL
BEGIN
    INSERT INTO forge_run_tags (number, name, value, tenant, status)
    SELECT new.number, key, value, new.tenant, new.status FROM json_each(new.tags);
END;
CREATE TRIGGER forge_run_retagged AFTER UPDATE OF status, tags ON forge_runs
    WHEN new.tags IS NOT NULL AND (new.status <> old.status OR new.tags IS NOT old.tags)
BEGIN
    INSERT INTO forge_run_tags (number, name, value, tenant, status)
    SELECT new.number, key, value, new.tenant, new.status FROM json_each(new.tags) WHERE TRUE
    ON CONFLICT (number, name) DO UPDATE SET value = excluded.value, status = excluded.status
     WHERE value <> excluded.value OR status <> excluded.status;
END;

-- Deletes the tags of a deleted run, and takes their bytes away: see `stored_bytes` in host/journal/src/state/stored.rs.
CREATE TRIGGER forge_run_tags_deleted AFTER DELETE ON forge_runs WHEN old.tags IS NOT NULL
BEGIN
    UPDATE forge_storage SET bytes = bytes - 2 * octet_length(old.tags) WHERE tenant = old.tenant;
    DELETE FROM forge_run_tags WHERE number = old.number;
END;
