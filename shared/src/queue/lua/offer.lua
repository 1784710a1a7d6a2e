-- Takes jobs into their tenants' waiting lists. Offering a known job again changes nothing.
-- ARGV[4..]: id, info, tenant limits ("max:weight", taken if the gate has none yet; '' = unknown)
-- for each job
local touched = {}
local taken = 0
for i = 4, #ARGV, 3 do
  local id, text, limit = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if call('HSETNX', P .. 'jobs', id, text) == 1 then
    local job = info(id)
    call('SADD', P .. 'queues', job.queue)
    if limit ~= '' then call('HSETNX', P .. 'limits', job.tenant, limit) end
    call('ZADD', key('wait', job.queue, job.tenant), job.score, id)
    enter_ring(job.queue, job.tenant)
    touched[job.queue] = true
    taken = taken + 1
  end
end
for queue in pairs(touched) do admit(queue) end
return taken
