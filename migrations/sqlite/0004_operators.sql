-- The names of the steps of an ended run that are not compensated, as a JSON list.
ALTER TABLE forge_runs ADD COLUMN uncompensated TEXT;
