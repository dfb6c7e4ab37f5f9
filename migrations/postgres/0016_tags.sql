-- The tags of a run, as a JSON object; NULL for none.
ALTER TABLE forge_runs ADD COLUMN tags TEXT;
-- The kind of the failure of a run that failed, is rolled back or is to be rolled back.
ALTER TABLE forge_runs ADD COLUMN error_kind TEXT COLLATE "C";
UPDATE forge_runs SET error_kind = forge_json(failure) ->> 'kind' WHERE failure IS NOT NULL;

-- Runs without a failure are not in it.
CREATE INDEX forge_runs_by_error_kind ON forge_runs (tenant, error_kind, status, id DESC NULLS LAST)
    WHERE error_kind IS NOT NULL;

-- The same tags, for lists of runs. The tenant and the status are those of the run: a list with a tag and a status is one
-- search. A run without tags has no rows.
CREATE TABLE forge_run_tags (
    run_id UUID NOT NULL,
    name   TEXT COLLATE "C" NOT NULL,
    value  TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, name)
) WITH (fillfactor = 80);                                 -- a run changes a few times soon after it began
CREATE INDEX forge_run_tags_by_value ON forge_run_tags (tenant, name, value, status, run_id DESC NULLS LAST);

-- Writes the tags of a run that has some, when it is inserted and when its status or its tags have changed.
CREATE FUNCTION forge_run_tagged() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO forge_run_tags AS tag (run_id, name, value, tenant, status)
    SELECT NEW.id, key, value, NEW.tenant, NEW.status FROM json_each_text(NEW.tags::JSON)
    ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value, status = excluded.status
    WHERE (tag.value, tag.status) IS DISTINCT FROM (excluded.value, excluded.status);
    RETURN NULL;
END $$;

CREATE TRIGGER forge_run_tagged AFTER INSERT ON forge_runs
    FOR EACH ROW WHEN (NEW.tags IS NOT NULL) EXECUTE FUNCTION forge_run_tagged();
CREATE TRIGGER forge_run_retagged AFTER UPDATE OF status, tags ON forge_runs
    FOR EACH ROW WHEN (NEW.tags IS NOT NULL AND (OLD.status, OLD.tags) IS DISTINCT FROM (NEW.status, NEW.tags))
    EXECUTE FUNCTION forge_run_tagged();

-- Deletes the tags of deleted runs, and takes their bytes away: see `stored_bytes` in host/journal/src/state/stored.rs.
CREATE FUNCTION forge_run_tags_deleted() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO forge_storage AS total (tenant, part, bytes)
    SELECT tenant, -1, -sum(2 * octet_length(tags)) FROM deleted WHERE tags IS NOT NULL GROUP BY tenant ORDER BY tenant
    ON CONFLICT (tenant, part) DO UPDATE SET bytes = total.bytes + excluded.bytes;
    DELETE FROM forge_run_tags WHERE run_id IN (SELECT id FROM deleted WHERE tags IS NOT NULL);
    RETURN NULL;
END $$;

CREATE TRIGGER forge_run_tags_deleted AFTER DELETE ON forge_runs
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forge_run_tags_deleted();
