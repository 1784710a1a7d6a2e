-- The scheduler forgets old events; the policy `engine_works` already covers every tenant's rows.
GRANT DELETE ON events TO unity_engine;
