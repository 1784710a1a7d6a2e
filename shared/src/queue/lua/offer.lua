-- Takes jobs into their tenants' waiting lists. Offering a known job again changes nothing.
-- ARGV[4..]: id, info for each job
-- Returns how many were new.
local touched = {}
local taken = 0
for i = 4, #ARGV, 2 do
  local id, text = ARGV[i], ARGV[i + 1]
  if call('HSETNX', P .. 'jobs', id, text) == 1 then
    local job = info(id)
    push_waiting(id, job)
    if not touched[job.queue] then
      call('SADD', P .. 'queues', job.queue)
      touched[job.queue] = {}
    end
    touched[job.queue][job.tenant] = true
    taken = taken + 1
  end
end
for queue, tenants in pairs(touched) do
  for tenant in pairs(tenants) do enter_ring(queue, tenant) end
  admit(queue)
end
return taken
