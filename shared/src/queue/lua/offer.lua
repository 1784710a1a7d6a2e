-- Takes jobs into their tenants' waiting lists, or behind the job that holds their resource key.
-- Offering a known job again changes nothing.
-- ARGV[4..] = for each line: queue, tenant, kind, how many, then id, score and info for each job
-- Returns how many were new.
local lines, ids, tenants = {}, {}, {}
local i = 4
while i <= #ARGV do
  local line = {queue = ARGV[i], tenant = ARGV[i + 1], kind = ARGV[i + 2], count = tonumber(ARGV[i + 3]), at = i + 4}
  lines[#lines + 1] = line
  for at = line.at, line.at + 3 * line.count - 1, 3 do ids[#ids + 1] = ARGV[at] end
  table.insert(inner(tenants, line.queue), line.tenant)
  i = line.at + 3 * line.count
end
for queue, some in pairs(tenants) do
  note_queue(queue)
  learn_waits(queue, some)
end
local known, nth, taken = fields('jobs', ids), 0, 0
for _, line in ipairs(lines) do
  local new, waiting, holders = {}, {}, {}
  for at = line.at, line.at + 3 * line.count - 1, 3 do
    nth = nth + 1
    if not known[nth] then
      local id, score, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
      local resource = resource_of(text)
      if resource ~= '' and holders[resource] == nil then
        holders[resource] = holder_of(line.tenant, resource, '') or false
      end
      local holder = holders[resource]
      if holder and holder ~= id then
        park(id, parse(text))
      else
        waiting[#waiting + 1] = score
        waiting[#waiting + 1] = name_of(id, resource)
      end
      new[#new + 1] = id
      new[#new + 1] = text
    end
  end
  taken = taken + #new / 2
  later('HSET', P .. 'jobs', new)
  if #waiting > 0 then
    bulk('ZADD', key('wait', line.queue, line.tenant, line.kind), waiting)
    note_waiting(line)
  end
end
for queue, some in pairs(tenants) do
  enter_ring(queue, some)
  admit(queue)
end
return taken
