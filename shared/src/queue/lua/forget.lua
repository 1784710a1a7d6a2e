-- Jobs that are not to be run any more. A job that a worker has claimed stays: its worker settles it.
-- ARGV[4..] = ids
-- Returns how many were forgotten.
local forgotten = 0
local tenants = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local job = info(id)
  if job and call('HEXISTS', P .. 'claimed', id) == 0 then
    if call('ZSCORE', key('admitted', job.queue, job.kind), id) then
      call('LREM', key('queue', job.queue, 'active'), 1, id)
      forget_ready(job.queue, {id})
    else
      remove_waiting(id, job)
      if job.resource ~= '' then call('ZREM', key('parked', job.tenant, job.resource), id) end
    end
    let_go({{id = id, job = job}})
    tenants[job.tenant] = true
    forgotten = forgotten + 1
  end
end
for tenant in pairs(tenants) do enter_rings(tenant) end
if forgotten > 0 then admit_all() end
return forgotten
