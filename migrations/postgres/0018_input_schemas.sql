-- The JSON Schemas of inputs, by the SHA-256 of their text. They are immutable. A list of versions reads none of them.
CREATE TABLE forge_input_schemas (
    digest TEXT COLLATE "C" PRIMARY KEY,
    schema TEXT COLLATE "C" NOT NULL
);

ALTER TABLE forge_workflow_versions ADD COLUMN input_schema TEXT COLLATE "C";     -- NULL: inputs are not checked
