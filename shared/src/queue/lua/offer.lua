-- Takes jobs into their tenants' waiting lists, or behind the job that holds their resource key.
-- Offering a known job again changes nothing.
-- ARGV[4..]: id, info for each job
-- Returns how many were new.
local ids, texts = {}, {}
for i = 4, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
  texts[#texts + 1] = ARGV[i + 1]
end
local known = fields('jobs', ids)
local new, lists, holders, taken = {}, {}, {}, 0
local function is_held(job)
  if job.resource == '' then return false end
  local name = key('parked', job.tenant, job.resource)
  if holders[name] == nil then holders[name] = holder_of(job.tenant, job.resource, '') or false end
  return holders[name]
end
for i, id in ipairs(ids) do
  if not known[i] then
    local job = parse(texts[i])
    local holder = is_held(job)
    if holder and holder ~= id then
      park(id, job, job.score)
    else
      local name = key('wait', job.queue, job.tenant, job.kind)
      local list = lists[name]
      if not list then
        list = {job = job, members = {}}
        lists[name] = list
      end
      list.members[#list.members + 1] = job.score
      list.members[#list.members + 1] = id
    end
    new[#new + 1] = id
    new[#new + 1] = texts[i]
    taken = taken + 1
  end
end
local queues = {}
if taken > 0 then bulk('HSET', P .. 'jobs', new) end
for name, list in pairs(lists) do
  local job = list.job
  bulk('ZADD', name, list.members)
  note_waiting(job)
  if not queues[job.queue] then
    call('SADD', P .. 'queues', job.queue)
    queues[job.queue] = true
  end
  enter_ring(job.queue, job.tenant)
end
for queue in pairs(queues) do admit(queue) end
return taken
