-- Who made a key, what it is confined to, and when it was last of use.
SET LOCAL lock_timeout = '5s';

ALTER TABLE api_keys
    ADD COLUMN scopes text[],
    ADD COLUMN created_by uuid REFERENCES users (id) ON DELETE CASCADE,
    ADD COLUMN rate_limit_per_second integer
        CONSTRAINT api_keys_rate_limit_range CHECK (rate_limit_per_second BETWEEN 1 AND 100000),
    ADD COLUMN last_used_at timestamptz;
COMMENT ON COLUMN api_keys.scopes IS 'what the role is confined to; NULL: to nothing';
COMMENT ON COLUMN api_keys.created_by IS 'whose own role bounds the key''s; NULL: an installation''s command line, or another key';
COMMENT ON COLUMN api_keys.rate_limit_per_second IS 'NULL: the plan''s';
COMMENT ON COLUMN api_keys.last_used_at IS 'to the minute, and written some seconds later';

GRANT SELECT (scopes, created_by, rate_limit_per_second, last_used_at) ON api_keys TO unity_app;
GRANT INSERT, UPDATE (revoked_at) ON api_keys TO unity_app;
GRANT SELECT (id, tenant_id, name, role, prefix, created_at, expires_at, revoked_at,
              scopes, created_by, rate_limit_per_second, last_used_at),
      UPDATE (revoked_at) ON api_keys TO unity_operator;

-- A key's use is noted by whoever looked it up.
CREATE POLICY authenticator_notes_use ON api_keys FOR UPDATE TO unity_authenticator USING (true) WITH CHECK (true);
GRANT UPDATE (last_used_at) ON api_keys TO unity_authenticator;
