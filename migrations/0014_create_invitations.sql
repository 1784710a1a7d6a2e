-- Invitations, and the duty that lets people in: it reads and writes across tenants what belongs to a
-- person, who is nobody's row.

DO $$
DECLARE login text := current_database() || '_login_platform';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unity_registrar') THEN
        BEGIN
            CREATE ROLE unity_registrar NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    -- An installation whose logins exist already goes on without making them anew.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('GRANT unity_registrar TO %I', login);
    END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO unity_registrar;

ALTER TABLE users ADD COLUMN name text CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 200);
COMMENT ON COLUMN users.name IS 'what they call themselves; NULL: they did not say';
GRANT SELECT, INSERT ON users TO unity_registrar;

ALTER TABLE memberships ADD COLUMN version bigint NOT NULL DEFAULT 1;
CREATE POLICY registrar_lets_in ON memberships TO unity_registrar USING (true) WITH CHECK (true);
GRANT UPDATE (role, version), DELETE ON memberships TO unity_app;
GRANT SELECT, INSERT ON memberships TO unity_registrar;

CREATE POLICY registrar_gives_back ON quota_usage TO unity_registrar USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (used) ON quota_usage TO unity_registrar;

CREATE POLICY registrar_reads ON tenants FOR SELECT TO unity_registrar USING (true);
GRANT SELECT (id, status) ON tenants TO unity_registrar;

CREATE TABLE invitations (
    tenant_id    text NOT NULL REFERENCES tenants (id),
    id           uuid NOT NULL,
    email        text NOT NULL CONSTRAINT invitations_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    role         text NOT NULL
                 CONSTRAINT invitations_role_known CHECK (role IN ('tenant-admin', 'tenant-member', 'tenant-viewer')),
    state        text NOT NULL DEFAULT 'pending'
                 CONSTRAINT invitations_state_known CHECK (state IN ('pending', 'accepted', 'revoked', 'expired')),
    token_hash   bytea NOT NULL CONSTRAINT invitations_token_hash_key UNIQUE,
    issue        integer NOT NULL DEFAULT 1,
    mailed_issue integer NOT NULL DEFAULT 0,
    mailed_at    timestamptz,
    invited_by   uuid,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT invitations_ended_when_not_pending CHECK ((state = 'pending') = (ended_at IS NULL))
);
COMMENT ON COLUMN invitations.token_hash IS 'SHA-256 of the token of the newest issue; the token is in the mail alone';
COMMENT ON COLUMN invitations.issue IS 'rises when it is sent again: the token before is void';
COMMENT ON COLUMN invitations.mailed_issue IS 'the newest issue that a mail server took; 0: none';
COMMENT ON COLUMN invitations.invited_by IS 'a user, who may be gone by now; NULL: somebody with an API key';
CREATE UNIQUE INDEX invitations_pending_key ON invitations (tenant_id, lower(email)) WHERE state = 'pending';
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON invitations TO unity_app
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY registrar_lets_in ON invitations TO unity_registrar USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON invitations TO unity_app;
GRANT UPDATE (state, token_hash, issue, mailed_issue, mailed_at, expires_at, ended_at) ON invitations TO unity_app;
GRANT SELECT, UPDATE (state, ended_at) ON invitations TO unity_registrar;

CREATE POLICY purger_deletes ON invitations TO unity_purger
    USING (is_being_purged(tenant_id)) WITH CHECK (is_being_purged(tenant_id));
GRANT SELECT (ctid, tenant_id), DELETE ON invitations TO unity_purger;
