-- Frees what nobody renews: slots past their lease, workers past their registration.
-- ARGV[4..] = queues
-- Returns how many slots were freed.
local freed = 0
call('PEXPIRE', P .. 'epoch', epoch_life)
for i = 4, #ARGV do
  local queue = ARGV[i]
  call('SADD', P .. 'queues', queue)
  for _, worker in ipairs(call('ZRANGEBYSCORE', key('workers', queue), '-inf', now, 'LIMIT', 0, 100)) do
    call('ZREM', key('workers', queue), worker)
    call('HDEL', key('capacity', queue), worker)
  end
  for _, id in ipairs(call('ZRANGEBYSCORE', key('admitted', queue), '-inf', now, 'LIMIT', 0, 1000)) do
    local job = info(id)
    if job then let_go(id, job) else call('ZREM', key('admitted', queue), id) end
    call('LREM', key('queue', queue, 'active'), 1, id)
    freed = freed + 1
  end
  admit(queue)
end
return freed
