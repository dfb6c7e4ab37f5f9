-- The revision of the journal in which a run or a row last changed. A write with an older one is refused.
ALTER TABLE forge_runs ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE forge_steps ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- Fails a statement that would write a row over a newer one.
CREATE FUNCTION forge_outdated() RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the database has a newer state of a run than the host that writes' USING ERRCODE = 'FG001';
END $$;
