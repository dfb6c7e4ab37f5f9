-- Lists of the runs whose id begins with some digits: those of other tenants are not looked at.
CREATE INDEX forge_runs_by_id ON forge_runs (tenant, id);
