-- A system administrator's own name reaches the jobs that the platform carries out for a tenant and no
-- others, so the operator must see of which kind a job is.
GRANT SELECT (kind) ON jobs TO unity_operator;
