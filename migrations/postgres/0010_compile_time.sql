-- The time in which a tenant's components were compiled.
ALTER TABLE forge_usage ADD COLUMN compile_ms BIGINT NOT NULL DEFAULT 0;
