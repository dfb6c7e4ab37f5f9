-- How far an effect came that failed: nowhere, unanswered, answered; NULL in rows of earlier versions.
ALTER TABLE forge_steps ADD COLUMN error_reach TEXT;
