-- Takes jobs into their tenants' waiting lists, or behind the job that holds their resource key.
-- Offering a known job again changes nothing.
-- ARGV[4..] = for each line: queue, tenant, kind, how many, then id, score and info for each job
-- Returns how many were new.
local taken, queues = 0, {}
local i = 4
while i <= #ARGV do
  local line, count = {queue = ARGV[i], tenant = ARGV[i + 1], kind = ARGV[i + 2]}, tonumber(ARGV[i + 3])
  local ids = {}
  for n = 1, count do ids[n] = ARGV[i + 1 + 3 * n] end
  local known, new, waiting, holders = fields('jobs', ids), {}, {}, {}
  for n, id in ipairs(ids) do
    if not known[n] then
      local score, text = ARGV[i + 2 + 3 * n], ARGV[i + 3 + 3 * n]
      local resource = resource_of(text)
      if resource ~= '' and holders[resource] == nil then
        holders[resource] = holder_of(line.tenant, resource, '') or false
      end
      local holder = holders[resource]
      if holder and holder ~= id then
        park(id, parse(text), score)
      else
        waiting[#waiting + 1] = score
        waiting[#waiting + 1] = id
      end
      new[#new + 1] = id
      new[#new + 1] = text
    end
  end
  taken = taken + #new / 2
  bulk('HSET', P .. 'jobs', new)
  if #waiting > 0 then
    bulk('ZADD', key('wait', line.queue, line.tenant, line.kind), waiting)
    note_waiting(line)
    if not queues[line.queue] then
      call('SADD', P .. 'queues', line.queue)
      queues[line.queue] = true
    end
    enter_ring(line.queue, line.tenant)
  end
  i = i + 4 + 3 * count
end
for queue in pairs(queues) do admit(queue) end
return taken
