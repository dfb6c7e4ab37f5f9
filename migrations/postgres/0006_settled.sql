-- What a person found of effects in doubt, as a JSON list.
ALTER TABLE forge_runs ADD COLUMN settled TEXT;
