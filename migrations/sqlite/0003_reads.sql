-- The revision of the journal in which a run or a row last changed. A write with an older one is refused.
ALTER TABLE forge_runs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forge_steps ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
