-- The effects that may have happened and that nothing undoes, one in each line.
ALTER TABLE forge_runs ADD COLUMN in_doubt TEXT;
