-- Logins of people, and the duty that makes them.
--
--   unity_issuer   checks passwords, makes and ends sessions, keeps the keys that sign tokens
--
-- A session belongs to a person, who is nobody's row, and it is looked for before a tenant is known: so
-- these tables are the platform's, and the role of tenants' work has no grant on any of them.
DO $$
DECLARE login text := current_database() || '_login_platform';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unity_issuer') THEN
        BEGIN
            CREATE ROLE unity_issuer NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    -- An installation whose logins exist already goes on without making them anew.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('GRANT unity_issuer TO %I', login);
    END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO unity_issuer;
GRANT EXECUTE ON FUNCTION current_tenant() TO unity_issuer;

ALTER TABLE users
    ADD COLUMN platform_role text CONSTRAINT users_platform_role_known CHECK (platform_role = 'system-admin'),
    ADD COLUMN token_epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN disabled_at timestamptz;
-- Who administers the platform stays when a tenant that they belonged to is purged.
GRANT SELECT (platform_role) ON users TO unity_purger;
COMMENT ON COLUMN users.platform_role IS 'NULL: none; what they may in a tenant is in memberships';
COMMENT ON COLUMN users.token_epoch IS 'rises to end every session and access token at once';
COMMENT ON COLUMN users.disabled_at IS 'since when they cannot log in; NULL: they can';
GRANT UPDATE (platform_role, token_epoch, disabled_at) ON users TO unity_operator;
GRANT SELECT, UPDATE (password_hash, must_change_password, token_epoch) ON users TO unity_issuer;
GRANT SELECT (id, email, must_change_password, platform_role, token_epoch, disabled_at) ON users TO unity_authenticator;

CREATE POLICY issuer_reads ON memberships FOR SELECT TO unity_issuer USING (true);
CREATE POLICY authenticator_reads ON memberships FOR SELECT TO unity_authenticator USING (true);
GRANT SELECT (tenant_id, user_id, role) ON memberships TO unity_issuer, unity_authenticator;
CREATE POLICY issuer_reads ON tenants FOR SELECT TO unity_issuer USING (true);
GRANT SELECT (id, status) ON tenants TO unity_issuer;

CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tenant       text,
    epoch        bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   text CONSTRAINT sessions_end_reason_known CHECK (end_reason IN ('logout', 'reuse')),
    CONSTRAINT sessions_ended_for_a_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
COMMENT ON TABLE sessions IS 'logins; one counts while it has not ended and its epoch is its user''s';
COMMENT ON COLUMN sessions.tenant IS 'the slug that was logged in to, worth as much as the membership there; NULL: the platform';
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
GRANT SELECT, INSERT, UPDATE (epoch, refreshed_at, ended_at, end_reason) ON sessions TO unity_issuer;
GRANT SELECT (id, user_id, tenant, epoch, expires_at, ended_at) ON sessions TO unity_authenticator;
GRANT SELECT (id, expires_at), DELETE ON sessions TO unity_engine;

CREATE TABLE refresh_tokens (
    hash       bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
COMMENT ON COLUMN refresh_tokens.hash IS 'SHA-256 of 256 random bits; the token itself is shown once and never stored';
COMMENT ON COLUMN refresh_tokens.used_at IS 'kept as long as its session, so that a second use is noticed';
CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id);
GRANT SELECT, INSERT, UPDATE (used_at), DELETE ON refresh_tokens TO unity_issuer;

CREATE TABLE login_attempts (
    key      bytea PRIMARY KEY,
    attempts integer NOT NULL,
    since    timestamptz NOT NULL
);
COMMENT ON TABLE login_attempts IS 'attempts to log in that did not succeed, by account, by address and by both';
COMMENT ON COLUMN login_attempts.key IS 'SHA-256 of what is counted; whether the account exists makes no difference';
CREATE INDEX login_attempts_since_idx ON login_attempts (since);
GRANT SELECT, INSERT, UPDATE (attempts, since) ON login_attempts TO unity_issuer;
GRANT SELECT (since), DELETE ON login_attempts TO unity_engine;

-- The keys that sign access tokens. A key's state follows from the time: it is published from the
-- moment that its row exists, signs from `signs_from` until a later one does, and is trusted until
-- `trusted_until`, after the last token that it signed has ended.
CREATE TABLE signing_keys (
    id            text PRIMARY KEY,
    public_key    bytea NOT NULL,
    sealed_key    bytea NOT NULL,
    created_at    timestamptz NOT NULL,
    signs_from    timestamptz NOT NULL,
    trusted_until timestamptz
);
COMMENT ON COLUMN signing_keys.id IS 'the `kid` of tokens';
COMMENT ON COLUMN signing_keys.sealed_key IS 'nonce and private key, encrypted under the installation''s secret key with the id and public key as associated data';
COMMENT ON COLUMN signing_keys.trusted_until IS 'NULL: no later key has been made';
GRANT SELECT, INSERT, UPDATE (trusted_until), DELETE ON signing_keys TO unity_issuer;
