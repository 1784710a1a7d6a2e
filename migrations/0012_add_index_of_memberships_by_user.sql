-- no-transaction
-- Which tenants somebody may log in to.
CREATE INDEX CONCURRENTLY memberships_user_id_idx ON memberships (user_id);
