-- Sign-in by a tenant's own identity provider (OpenID Connect).

CREATE TABLE identity_providers (
    tenant_id     text PRIMARY KEY REFERENCES tenants (id),
    issuer        text NOT NULL CONSTRAINT identity_providers_issuer_length CHECK (char_length(issuer) BETWEEN 1 AND 500),
    client_id     text NOT NULL
                  CONSTRAINT identity_providers_client_id_length CHECK (char_length(client_id) BETWEEN 1 AND 255),
    sealed_secret bytea NOT NULL,
    email_domains text[] NOT NULL DEFAULT '{}',
    default_role  text CONSTRAINT identity_providers_default_role_known
                  CHECK (default_role IN ('tenant-admin', 'tenant-member', 'tenant-viewer')),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
COMMENT ON COLUMN identity_providers.sealed_secret IS 'nonce and client secret, encrypted under the installation''s secret key with the tenant as associated data';
COMMENT ON COLUMN identity_providers.email_domains IS 'whose addresses it may vouch for; empty: all';
COMMENT ON COLUMN identity_providers.default_role IS 'what somebody new becomes; NULL: nobody comes in without an invitation';

-- Sign-ins that were begun. What the provider must repeat, and what proves that we asked, follows from
-- the state, which only the browser has.
CREATE TABLE sign_ins (
    tenant_id    text NOT NULL REFERENCES tenants (id),
    state_hash   bytea NOT NULL,
    browser_hash bytea NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, state_hash)
);
COMMENT ON COLUMN sign_ins.browser_hash IS 'SHA-256 of the cookie of the browser that began';

-- Whom a provider means by its own names for people, from their first sign-in on.
CREATE TABLE identities (
    tenant_id  text NOT NULL,
    issuer     text NOT NULL,
    subject    text NOT NULL CONSTRAINT identities_subject_length CHECK (char_length(subject) BETWEEN 1 AND 255),
    user_id    uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, issuer, subject),
    CONSTRAINT identities_user_key UNIQUE (tenant_id, issuer, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES memberships (tenant_id, user_id) ON DELETE CASCADE
);

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['identity_providers', 'sign_ins', 'identities'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I TO unity_app
            USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', table_name);
        EXECUTE format('CREATE POLICY purger_deletes ON %I TO unity_purger
            USING (is_being_purged(tenant_id)) WITH CHECK (is_being_purged(tenant_id))', table_name);
        EXECUTE format('GRANT SELECT (ctid, tenant_id), DELETE ON %I TO unity_purger', table_name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, DELETE, UPDATE (issuer, client_id, sealed_secret, email_domains, default_role, version, updated_at)
    ON identity_providers TO unity_app;
GRANT SELECT, INSERT, DELETE ON sign_ins TO unity_app;
GRANT SELECT ON identities TO unity_app;

-- Somebody whom the tenant's own provider vouches for comes in, in one transaction with their identity.
CREATE POLICY registrar_lets_in ON identities TO unity_registrar USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON identities TO unity_registrar;
GRANT SELECT (plan, resource_quota) ON tenants TO unity_registrar;
GRANT INSERT ON quota_usage TO unity_registrar;
