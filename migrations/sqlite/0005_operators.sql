-- The names of the steps of an ended run that are not compensated, as a JSON list.
ALTER TABLE forge_runs ADD COLUMN uncompensated TEXT;

-- A start that takes the key of a failed run over: the run that had the key, and the run that has it now.
ALTER TABLE forge_runs ADD COLUMN restart_of TEXT;
ALTER TABLE forge_runs ADD COLUMN restarted_as TEXT;
