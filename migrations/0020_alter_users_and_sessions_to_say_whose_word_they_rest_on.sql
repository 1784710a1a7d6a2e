-- Whose word an account and a session rest on, and the registrar's part in letting people go.
SET LOCAL lock_timeout = '5s';

ALTER TABLE users
    ADD COLUMN has_password boolean NOT NULL DEFAULT true,
    ADD COLUMN orphaned_at timestamptz;
SELECT bound_times('users');
COMMENT ON COLUMN users.has_password IS 'false: a tenant''s identity provider made the account, so nobody knows its password; whoever proves the address may set one';
COMMENT ON COLUMN users.orphaned_at IS 'since when they belong to nothing and nobody invites them; NULL: they do, or nobody has looked yet';
-- Who becomes an administrator gets a first password, if they have none of their own.
GRANT SELECT (has_password), UPDATE (password_hash, must_change_password, has_password) ON users TO unity_operator;
GRANT SELECT (has_password, token_epoch, disabled_at), UPDATE (name, password_hash, has_password, token_epoch)
    ON users TO unity_registrar;

ALTER TABLE sessions
    ADD COLUMN opened_with text NOT NULL DEFAULT 'password'
        CONSTRAINT sessions_opened_with_known CHECK (opened_with IN ('password', 'identity_provider'));
COMMENT ON COLUMN sessions.opened_with IS 'identity_provider: that of the session''s tenant, whose word is good there and nowhere else';
GRANT SELECT (opened_with) ON sessions TO unity_authenticator;
ALTER TABLE sessions DROP CONSTRAINT sessions_end_reason_known;
ALTER TABLE sessions ADD CONSTRAINT sessions_end_reason_known
    CHECK (end_reason IN ('logout', 'reuse', 'removed')) NOT VALID;

-- Whoever leaves a tenant takes nothing along: the membership, sessions and keys end in one transaction.
GRANT UPDATE (role, version), DELETE ON memberships TO unity_registrar;
REVOKE UPDATE (role, version) ON memberships FROM unity_app;
GRANT SELECT (id, user_id, tenant, ended_at), UPDATE (ended_at, end_reason) ON sessions TO unity_registrar;
CREATE POLICY registrar_revokes ON api_keys TO unity_registrar USING (true) WITH CHECK (true);
GRANT SELECT (id, tenant_id, created_by, revoked_at), UPDATE (revoked_at) ON api_keys TO unity_registrar;

-- Accounts that belong to nothing are deleted after a while.
CREATE POLICY purger_sees_who_is_invited ON invitations FOR SELECT TO unity_purger USING (true);
GRANT SELECT (email, state, expires_at) ON invitations TO unity_purger;
GRANT SELECT (email, orphaned_at), UPDATE (orphaned_at) ON users TO unity_purger;

-- States that were used are forgotten by the scheduler, not by whoever signs in.
CREATE POLICY engine_forgets ON sign_ins TO unity_engine USING (true) WITH CHECK (true);
GRANT SELECT (expires_at), DELETE ON sign_ins TO unity_engine;
COMMENT ON TABLE sign_ins IS 'states of sign-ins that were used, until they would have ended: each is good once';
COMMENT ON COLUMN sign_ins.browser_hash IS 'SHA-256 of the cookie of the browser that used it';
