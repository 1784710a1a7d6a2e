-- Tenants, their people and their keys.

CREATE TABLE tenants (
    id             text PRIMARY KEY
                   CONSTRAINT tenants_id_shape CHECK (id ~ '^[a-z0-9]([a-z0-9-]{1,40}[a-z0-9])?$'),
    uid            uuid NOT NULL CONSTRAINT tenants_uid_key UNIQUE,
    name           text NOT NULL CONSTRAINT tenants_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    plan           text NOT NULL CONSTRAINT tenants_plan_known CHECK (plan IN ('free', 'pro', 'enterprise')),
    status         text NOT NULL DEFAULT 'active'
                   CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended', 'deleted', 'purging', 'purged')),
    resource_quota jsonb NOT NULL DEFAULT '{}',
    max_concurrent integer CONSTRAINT tenants_max_concurrent_range CHECK (max_concurrent BETWEEN 0 AND 10000),
    weight         integer CONSTRAINT tenants_weight_range CHECK (weight BETWEEN 1 AND 1000),
    shard          smallint NOT NULL DEFAULT 0,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
);
COMMENT ON COLUMN tenants.resource_quota IS 'only what was stated; the plan gives the rest';
COMMENT ON COLUMN tenants.max_concurrent IS 'NULL: the plan''s';
COMMENT ON COLUMN tenants.weight IS 'NULL: the plan''s';
COMMENT ON COLUMN tenants.shard IS 'the Redis that holds this tenant''s waiting work';

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_itself ON tenants FOR SELECT TO unity_app USING (id = current_tenant());
CREATE POLICY authenticator_reads ON tenants FOR SELECT TO unity_authenticator USING (true);
CREATE POLICY engine_reads ON tenants FOR SELECT TO unity_engine USING (true);
CREATE POLICY operator_manages ON tenants TO unity_operator USING (true) WITH CHECK (true);
GRANT SELECT ON tenants TO unity_app, unity_engine;
GRANT SELECT (id, status) ON tenants TO unity_authenticator;
GRANT SELECT, INSERT ON tenants TO unity_operator;

CREATE TABLE users (
    id                   uuid PRIMARY KEY,
    email                text NOT NULL,
    password_hash        text NOT NULL,
    must_change_password boolean NOT NULL,
    created_at           timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
COMMENT ON TABLE users IS 'people are global identities; a membership says which tenant and role';
COMMENT ON COLUMN users.password_hash IS 'Argon2id in PHC string format';
GRANT SELECT, INSERT ON users TO unity_operator;

CREATE TABLE memberships (
    tenant_id  text NOT NULL REFERENCES tenants (id),
    user_id    uuid NOT NULL REFERENCES users (id),
    role       text NOT NULL
               CONSTRAINT memberships_role_known CHECK (role IN ('tenant-admin', 'tenant-member', 'tenant-viewer')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON memberships TO unity_app
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY operator_manages ON memberships TO unity_operator USING (true) WITH CHECK (true);
GRANT SELECT ON memberships TO unity_app;
GRANT INSERT ON memberships TO unity_operator;

CREATE TABLE api_keys (
    id         uuid PRIMARY KEY,
    tenant_id  text REFERENCES tenants (id),
    name       text NOT NULL CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    role       text NOT NULL
               CONSTRAINT api_keys_role_known CHECK (role IN ('system-admin', 'tenant-admin', 'tenant-member', 'tenant-viewer')),
    hash       bytea NOT NULL CONSTRAINT api_keys_hash_key UNIQUE,
    prefix     text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_keys_platform_has_no_tenant CHECK ((role = 'system-admin') = (tenant_id IS NULL)),
    CONSTRAINT api_keys_tenant_id_id_key UNIQUE (tenant_id, id)
);
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the whole key; the key itself is shown once and never stored';
COMMENT ON COLUMN api_keys.prefix IS 'what a listing may show: the text before the random part and its first four characters';
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON api_keys TO unity_app
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY authenticator_reads ON api_keys FOR SELECT TO unity_authenticator USING (true);
CREATE POLICY operator_manages ON api_keys TO unity_operator USING (true) WITH CHECK (true);
GRANT SELECT (id, tenant_id, name, role, prefix, created_at, expires_at, revoked_at) ON api_keys TO unity_app;
GRANT SELECT ON api_keys TO unity_authenticator;
GRANT INSERT ON api_keys TO unity_operator;

-- Answers to POSTs that carried an Idempotency-Key, kept 24 hours. A system administrator's are
-- under the reserved slug `platform`, which no tenant can have.
CREATE TABLE idempotency_keys (
    tenant_id   text NOT NULL,
    key         text NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status      smallint NOT NULL,
    location    text,
    response    jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of route and body: the same key with another request is refused';
COMMENT ON COLUMN idempotency_keys.response IS 'the answer without its one-time secrets';
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON idempotency_keys TO unity_app
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY operator_keeps_its_own ON idempotency_keys TO unity_operator
    USING (tenant_id = 'platform') WITH CHECK (tenant_id = 'platform');
CREATE POLICY engine_expires ON idempotency_keys TO unity_engine USING (true);
GRANT SELECT, INSERT ON idempotency_keys TO unity_app, unity_operator;
GRANT SELECT (created_at), DELETE ON idempotency_keys TO unity_engine;
