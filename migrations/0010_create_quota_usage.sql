-- How much of each quota a tenant uses. A place is taken in the transaction that makes the thing which
-- it counts, by one guarded statement: of two that race for the last place one gets it.
CREATE TABLE quota_usage (
    tenant_id  text NOT NULL REFERENCES tenants (id),
    name       text NOT NULL,
    used       bigint NOT NULL CONSTRAINT quota_usage_used_range CHECK (used >= 0),
    PRIMARY KEY (tenant_id, name)
);
COMMENT ON COLUMN quota_usage.name IS 'as in tenants.resource_quota';
COMMENT ON COLUMN quota_usage.used IS 'in the quota''s unit, whole ones; what a cluster counts is rounded up';

ALTER TABLE quota_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON quota_usage TO unity_app
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY operator_counts ON quota_usage TO unity_operator USING (true) WITH CHECK (true);
CREATE POLICY purger_deletes ON quota_usage TO unity_purger
    USING (is_being_purged(tenant_id)) WITH CHECK (is_being_purged(tenant_id));
GRANT SELECT, INSERT, UPDATE (used) ON quota_usage TO unity_app, unity_operator;
GRANT SELECT (ctid, tenant_id), DELETE ON quota_usage TO unity_purger;

INSERT INTO quota_usage (tenant_id, name, used)
SELECT tenant_id, 'users', count(*) FROM memberships GROUP BY tenant_id;
