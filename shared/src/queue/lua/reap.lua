-- Frees what nobody renews: slots past their lease, workers past their registration. A slot that was
-- claimed belongs to a row whose lease has run out too: the rescue of leases offers that job again.
-- ARGV[4..] = queues
-- Returns how many slots were freed.
local freed = 0
call('PEXPIRE', P .. 'epoch', epoch_life)
for i = 4, #ARGV do
  local queue = ARGV[i]
  call('SADD', P .. 'queues', queue)
  for _, worker in ipairs(call('ZRANGEBYSCORE', key('workers', queue), '-inf', now, 'LIMIT', 0, 100)) do
    leave_fleet(worker, queue)
  end
  local tenants = {}
  for kind in pairs(kinds_of(queue)) do
    local admitted = key('admitted', queue, kind)
    for _, id in ipairs(call('ZRANGEBYSCORE', admitted, '-inf', now, 'LIMIT', 0, 1000)) do
      local job = info(id)
      if not job then
        call('ZREM', admitted, id)
      elseif call('HEXISTS', P .. 'claimed', id) == 1 then
        let_go({{id = id, job = job}})
      else
        call('LREM', key('queue', queue, 'active'), 1, id)
        put_back(id, job)
      end
      if job then tenants[job.tenant] = true end
      freed = freed + 1
    end
  end
  for tenant in pairs(tenants) do enter_rings(tenant) end
  admit(queue)
end
return freed
