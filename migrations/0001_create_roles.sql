-- Group roles that carry the grants and policies. They cannot log in: `unity migrate` makes the
-- login roles of one installation and puts them into these groups.
--
--   unity_app            a request or a job of one tenant; sees rows of `app.tenant_id` only
--   unity_authenticator  finds the owner of an API key before a tenant is known
--   unity_engine         enqueue, claim, finish, sweep: the queue's own work across tenants
--   unity_operator       what a system administrator does: tenants, their keys, the fleet
--
-- Roles belong to the whole server and several databases may be migrated at once, so losing the
-- race to create one is success.
DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['unity_app', 'unity_authenticator', 'unity_engine', 'unity_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
    END LOOP;
END
$$;

-- Nobody but the owner makes objects here, and a function made later is not callable by all.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO unity_app, unity_authenticator, unity_engine, unity_operator;

-- The tenant of the session's transaction, or NULL: then no row of any tenant is visible.
CREATE FUNCTION current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.tenant_id', true), '');
GRANT EXECUTE ON FUNCTION current_tenant() TO unity_app, unity_authenticator, unity_engine, unity_operator;
