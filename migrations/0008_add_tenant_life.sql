-- The life of a tenant: active -> suspended -> deleted -> purging -> purged, with ways back from the
-- second and the third. Which step may follow which is guarded here, whoever writes.
SET LOCAL lock_timeout = '5s';

ALTER TABLE tenants
    ADD COLUMN suspended_at  timestamptz,
    ADD COLUMN deleted_at    timestamptz,
    ADD COLUMN purge_after   timestamptz,
    ADD COLUMN purged_at     timestamptz,
    ADD COLUMN status_reason text
        CONSTRAINT tenants_status_reason_length CHECK (char_length(status_reason) BETWEEN 1 AND 500);
COMMENT ON COLUMN tenants.suspended_at IS 'since when it is suspended; kept while it is deleted, so that a restored tenant is as it was';
COMMENT ON COLUMN tenants.deleted_at IS 'NULL unless it was deleted';
COMMENT ON COLUMN tenants.purge_after IS 'the end of the grace period: until then it can be restored, afterwards it is purged';
COMMENT ON COLUMN tenants.status_reason IS 'the operator''s words for the last step; NULL: none were given';

UPDATE tenants SET suspended_at = updated_at WHERE status = 'suspended';
UPDATE tenants SET deleted_at = updated_at, purge_after = updated_at + interval '30 days'
WHERE status IN ('deleted', 'purging', 'purged');
UPDATE tenants SET purged_at = updated_at WHERE status = 'purged';
ALTER TABLE tenants ADD CONSTRAINT tenants_life_dates CHECK (
    (status <> 'active' OR suspended_at IS NULL)
    AND (status <> 'suspended' OR suspended_at IS NOT NULL)
    AND (status IN ('deleted', 'purging', 'purged')) = (deleted_at IS NOT NULL)
    AND (deleted_at IS NULL) = (purge_after IS NULL)
    AND (status = 'purged') = (purged_at IS NOT NULL)) NOT VALID;

-- The platform's own work has an owner too: the tenant `platform`, which nobody can make, list or call
-- as. So the row of a job that purges a tenant is not among the rows that it purges.
INSERT INTO tenants (id, uid, name, plan, created_at, updated_at)
VALUES ('platform', '0198c0de-0000-7000-8000-00000000000f', 'Unity', 'enterprise', now(), now());
INSERT INTO event_counters (tenant_id) VALUES ('platform');
ALTER TABLE api_keys ADD CONSTRAINT api_keys_not_of_the_platform CHECK (tenant_id <> 'platform') NOT VALID;
ALTER TABLE memberships ADD CONSTRAINT memberships_not_of_the_platform CHECK (tenant_id <> 'platform') NOT VALID;

CREATE FUNCTION guard_tenant_life() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE before text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a tenant''s row stays as its tombstone: %', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
    END IF;
    IF TG_OP = 'INSERT' THEN
        before := 'active';
    ELSE
        before := OLD.status;
        IF NEW.id <> OLD.id OR NEW.uid <> OLD.uid THEN
            RAISE EXCEPTION 'a tenant keeps its id and uid: %', OLD.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
        END IF;
    END IF;
    IF NEW.status <> before
       AND (NEW.id = 'platform' OR TG_OP = 'INSERT' OR (before, NEW.status) NOT IN (
            ('active', 'suspended'), ('active', 'deleted'),
            ('suspended', 'active'), ('suspended', 'deleted'),
            ('deleted', 'active'), ('deleted', 'suspended'), ('deleted', 'purging'),
            ('purging', 'purged'))) THEN
        RAISE EXCEPTION 'tenant % cannot go from % to %', NEW.id, before, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard_tenant_life BEFORE INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION guard_tenant_life();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER guard_tenant_life;

-- Limits of a tenant that has changed are brought to the gate within a second; the index finds it.
CREATE INDEX tenants_updated_at_idx ON tenants (updated_at);
-- Tenants whose time has come.
CREATE INDEX tenants_purge_after_idx ON tenants (purge_after) WHERE status IN ('deleted', 'purging');

GRANT UPDATE (name, plan, resource_quota, status, suspended_at, deleted_at, purge_after, status_reason)
    ON tenants TO unity_operator;

-- A tenant's administrator gives it another name; row-level security keeps that to their own.
CREATE POLICY tenant_renames_itself ON tenants FOR UPDATE TO unity_app
    USING (id = current_tenant()) WITH CHECK (id = current_tenant());
GRANT UPDATE (name, version, updated_at) ON tenants TO unity_app;
