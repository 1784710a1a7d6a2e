-- Orders with an idempotency key are written together with others of any tenants, each with the answer that its
-- repetition gets; one whose jobs are left out keeps none.
GRANT INSERT, SELECT (tenant_id, key) ON idempotency_keys TO unity_engine;
