-- Frees what nobody renews: slots past their lease, workers past their registration. A slot that was
-- claimed belongs to a row whose lease has run out too: the rescue of leases gives that job back, and
-- is given the time to come first, so that nobody who waits for the same resource key overtakes it.
-- ARGV[4] = the record's epoch, ARGV[5] = a moment (ms), ARGV[6..] = queues. With an epoch nothing is done
-- unless the gate was opened under it, on the run of the server that answers, and no slot ends by that
-- moment: a worker that reaches the rows but not Redis may still run its job. '' = done in any case
-- Returns 1 if it was done, how many slots were freed, and 1 if there is more to do now.
if ARGV[4] ~= '' then
  if call('GET', P .. 'epoch') ~= ARGV[4] or not is_as_opened() then return {0, 0, 0} end
  for i = 6, #ARGV do
    for kind in pairs(kinds_of(ARGV[i])) do
      if call('ZCOUNT', key('admitted', ARGV[i], kind), '-inf', ARGV[5]) > 0 then return {0, 0, 0} end
    end
  end
end
local RESCUE_TIME = 2000
local freed = 0
call('PEXPIRE', P .. 'epoch', epoch_life)
for i = 6, #ARGV do
  local queue = ARGV[i]
  note_queue(queue)
  for _, worker in ipairs(call('ZRANGEBYSCORE', key('workers', queue), '-inf', now, 'LIMIT', 0, 100)) do
    leave_fleet(worker, queue)
  end
  -- A member without a registration would count for ever.
  for _, worker in ipairs(call('HKEYS', key('members', queue))) do
    if not call('ZSCORE', key('workers', queue), worker) then leave_fleet(worker, queue) end
  end
  local tenants = {}
  for kind in pairs(kinds_of(queue)) do
    local admitted = key('admitted', queue, kind)
    for _, id in ipairs(call('ZRANGEBYSCORE', admitted, '-inf', now, 'LIMIT', 0, 1000)) do
      local job = info(id)
      local is_claimed = job and call('HEXISTS', P .. 'claimed', id) == 1
      if not job then
        call('ZREM', admitted, id)
        freed = freed + 1
      elseif not is_claimed then
        put_back(id, job)
        freed = freed + 1
        tenants[#tenants + 1] = job.tenant
      elseif tonumber(call('ZSCORE', admitted, id)) <= now - RESCUE_TIME then
        let_go(alone(id, job))
        freed = freed + 1
        tenants[#tenants + 1] = job.tenant
      end
    end
  end
  enter_rings(tenants)
  enter_some(queue)
  admit(queue)
end
return {1, freed, unfinished and 1 or 0}
