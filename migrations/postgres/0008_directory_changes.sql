-- Which entries of the directory have changed, in order, so that a host reads only those. The trigger also sees changes that
-- are made by hand, or by hosts of the version before.
CREATE TABLE forge_directory_changes (
    revision BIGINT PRIMARY KEY,
    kind     TEXT COLLATE "C" NOT NULL,
    tenant   TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL
);

-- One row: the revision of the last change, and the revision up to which changes were removed from the list. A change locks
-- the row until it is committed, so revisions are committed in their order and a reader misses none.
CREATE TABLE forge_directory_state (
    revision BIGINT NOT NULL,
    trimmed  BIGINT NOT NULL
);
INSERT INTO forge_directory_state (revision, trimmed) VALUES (0, 0);

CREATE FUNCTION forge_directory_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    entry forge_directory;
BEGIN
    IF TG_OP = 'DELETE' THEN
        entry := OLD;
    ELSE
        entry := NEW;
    END IF;
    WITH next AS (UPDATE forge_directory_state SET revision = revision + 1 RETURNING revision)
    INSERT INTO forge_directory_changes SELECT revision, entry.kind, entry.tenant, entry.name FROM next;
    RETURN NULL;
END $$;
CREATE TRIGGER forge_directory_changed AFTER INSERT OR UPDATE OR DELETE ON forge_directory
    FOR EACH ROW EXECUTE FUNCTION forge_directory_changed();
