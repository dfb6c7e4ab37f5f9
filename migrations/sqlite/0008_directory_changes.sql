-- Which entries of the directory have changed, in order, so that a host reads only those. The triggers also see changes that
-- are made by hand.
CREATE TABLE forge_directory_changes (
    revision INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    name     TEXT NOT NULL
);

-- One row: the revision of the last change, and the revision up to which changes were removed from the list.
CREATE TABLE forge_directory_state (
    revision INTEGER NOT NULL,
    trimmed  INTEGER NOT NULL
);
INSERT INTO forge_directory_state (revision, trimmed) VALUES (0, 0);

CREATE TRIGGER forge_directory_inserted AFTER INSERT ON forge_directory
BEGIN
    UPDATE forge_directory_state SET revision = revision + 1;
    INSERT INTO forge_directory_changes SELECT revision, NEW.kind, NEW.tenant, NEW.name FROM forge_directory_state;
END;
CREATE TRIGGER forge_directory_updated AFTER UPDATE ON forge_directory
BEGIN
    UPDATE forge_directory_state SET revision = revision + 1;
    INSERT INTO forge_directory_changes SELECT revision, NEW.kind, NEW.tenant, NEW.name FROM forge_directory_state;
END;
CREATE TRIGGER forge_directory_deleted AFTER DELETE ON forge_directory
BEGIN
    UPDATE forge_directory_state SET revision = revision + 1;
    INSERT INTO forge_directory_changes SELECT revision, OLD.kind, OLD.tenant, OLD.name FROM forge_directory_state;
END;
