-- Events of many tenants in one call. The sessions that tell of jobs do without hash and merge joins, so what
-- was counted for each tenant was compared with each event: the counters are looked up by their key instead.
CREATE OR REPLACE FUNCTION tell(tenants text[], jobs uuid[], types text[], contents jsonb[], told_at timestamptz)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF tenants IS NULL THEN
        RETURN 0;
    END IF;
    IF NOT may_name_any_tenant() AND cardinality(array_remove(tenants, current_tenant())) > 0 THEN
        RAISE EXCEPTION 'an event of another tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM FROM event_counters WHERE tenant_id = ANY (tenants) ORDER BY tenant_id FOR UPDATE;
    UPDATE event_counters AS counter
    SET last_sequence = counter.last_sequence + batch.events
    FROM (SELECT tenant_id, count(*) AS events FROM unnest(tenants) AS told (tenant_id) GROUP BY tenant_id) AS batch
    WHERE counter.tenant_id = batch.tenant_id;
    INSERT INTO events (tenant_id, sequence, type, job_id, data, created_at)
    SELECT told.tenant_id,
           counter.last_sequence - count(*) OVER of_tenant + row_number() OVER (of_tenant ORDER BY told.place),
           told.type, told.job_id, told.data, told_at
    FROM unnest(tenants, jobs, types, contents) WITH ORDINALITY AS told (tenant_id, job_id, type, data, place)
    JOIN event_counters AS counter ON counter.tenant_id = told.tenant_id
    WINDOW of_tenant AS (PARTITION BY told.tenant_id);
    RETURN cardinality(tenants);
END
$$;
