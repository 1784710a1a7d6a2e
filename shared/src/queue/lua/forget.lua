-- Jobs that are not to be run any more. A job that a worker has claimed stays: its worker settles it,
-- or its slot ends.
-- ARGV[4..] = ids
-- Returns how many were forgotten.
local forgotten = 0
local tenants = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local job = info(id)
  local admitted = job and call('ZSCORE', key('admitted', job.queue, job.kind), id)
  local is_claimed = job and call('HEXISTS', P .. 'claimed', id) == 1
  if job and not (is_claimed and admitted) then
    if admitted then
      take_from_ready(job.queue, id)
    else
      remove_waiting(id, job)
      unpark(id, job)
    end
    let_go(alone(id, job))
    tenants[#tenants + 1] = job.tenant
    forgotten = forgotten + 1
  end
end
enter_rings(tenants)
if forgotten > 0 then admit_all() end
return forgotten
