-- Leave for a system administrator to act inside a tenant: for minutes, with a reason, in a role.
CREATE TABLE act_as_grants (
    tenant_id     text NOT NULL REFERENCES tenants (id),
    id            uuid NOT NULL,
    actor_kind    text NOT NULL CONSTRAINT act_as_grants_actor_kind_known CHECK (actor_kind IN ('user', 'api_key')),
    actor_id      uuid NOT NULL,
    session_id    uuid,
    actor_display text NOT NULL,
    role          text NOT NULL CONSTRAINT act_as_grants_role_known
                  CHECK (role IN ('tenant-admin', 'tenant-member', 'tenant-viewer')),
    reason        text NOT NULL CONSTRAINT act_as_grants_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500),
    token_hash    bytea NOT NULL CONSTRAINT act_as_grants_token_hash_key UNIQUE,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT act_as_grants_time CHECK (expires_at > created_at AND expires_at <= created_at + interval '1 hour'),
    CONSTRAINT act_as_grants_not_of_the_platform CHECK (tenant_id <> 'platform'),
    CONSTRAINT act_as_grants_session CHECK ((actor_kind = 'user') = (session_id IS NOT NULL))
);
COMMENT ON COLUMN act_as_grants.session_id IS 'the login of a person; NULL for a key';
COMMENT ON COLUMN act_as_grants.token_hash IS 'SHA-256 of the token; the token itself is shown once and never stored';
COMMENT ON COLUMN act_as_grants.ended_at IS 'ended before its end; NULL: not';
ALTER TABLE act_as_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE act_as_grants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_reads ON act_as_grants FOR SELECT TO unity_app USING (tenant_id = current_tenant());
CREATE POLICY authenticator_reads ON act_as_grants FOR SELECT TO unity_authenticator USING (true);
CREATE POLICY operator_manages ON act_as_grants TO unity_operator USING (true) WITH CHECK (true);
GRANT SELECT (tenant_id, id, actor_kind, actor_id, actor_display, role, reason, created_at, expires_at, ended_at)
    ON act_as_grants TO unity_app;
GRANT SELECT ON act_as_grants TO unity_authenticator, unity_operator;
GRANT INSERT, UPDATE (ended_at) ON act_as_grants TO unity_operator;
CREATE POLICY purger_deletes ON act_as_grants TO unity_purger
    USING (is_being_purged(tenant_id)) WITH CHECK (is_being_purged(tenant_id));
GRANT SELECT (ctid, tenant_id), DELETE ON act_as_grants TO unity_purger;
