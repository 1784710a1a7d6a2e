-- Limits of tenants, as their rows have them. Lowering one ends nothing: admission waits until the
-- tenant is below it again.
-- ARGV[4..] = tenant, "max:weight" for each tenant
for i = 4, #ARGV, 2 do
  local tenant, limit = ARGV[i], ARGV[i + 1]
  if call('HGET', P .. 'limits', tenant) ~= limit then
    call('HSET', P .. 'limits', tenant, limit)
    enter_rings(tenant)
  end
end
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do admit(queue) end
return 0
