-- What waits: a list for each line, and what is parked behind a resource key.

-- The name under which a job waits. That it has a resource key is seen from it, so that admission looks up
-- what only such a job needs; `id_of` is for those.
local KEYED = '*'
local KEYED_BYTE = string.byte(KEYED)
local function name_of(id, resource)
  if resource ~= '' then return id .. KEYED end
  return id
end
local function is_keyed(name)
  return string.byte(name, -1) == KEYED_BYTE
end
local function id_of(name)
  return string.sub(name, 1, -1 - #KEYED)
end

-- Kinds of which a tenant has waiting jobs: asked for once a script, and kept in step.
local known_waits = {}
local function learn_waits(queue, tenants)
  local known = inner(known_waits, queue)
  local unknown = missing_in(known, tenants)
  for i, text in ipairs(fields('waits:' .. queue, unknown)) do known[unknown[i]] = split(text or '') end
end

local function waiting_kinds(queue, tenant)
  local known = inner(known_waits, queue)
  if not known[tenant] then learn_waits(queue, {tenant}) end
  return known[tenant]
end

local function set_waiting_kinds(queue, tenant, kinds)
  inner(known_waits, queue)[tenant] = kinds
  later_field(key('waits', queue), tenant, #kinds > 0 and table.concat(kinds, ','))
end

-- Something waits in this line.
local function note_waiting(line)
  note_kind(line.queue, line.kind)
  local kinds = waiting_kinds(line.queue, line.tenant)
  for _, kind in ipairs(kinds) do
    if kind == line.kind then return end
  end
  kinds[#kinds + 1] = line.kind
  set_waiting_kinds(line.queue, line.tenant, kinds)
end

-- Nothing waits in this line any more. Answers whether nothing of the tenant waits in this queue.
local function note_empty(queue, tenant, kind)
  local left = {}
  for _, other in ipairs(waiting_kinds(queue, tenant)) do
    if other ~= kind then left[#left + 1] = other end
  end
  set_waiting_kinds(queue, tenant, left)
  return #left == 0
end

-- The same, if it is so, after something was taken.
local function note_if_empty(queue, tenant, kind)
  if call('EXISTS', key('wait', queue, tenant, kind)) == 1 then return false end
  return note_empty(queue, tenant, kind)
end

local function push_waiting(id, job)
  call('ZADD', key('wait', job.queue, job.tenant, job.kind), job.score, name_of(id, job.resource))
  note_waiting(job)
end

local function remove_waiting(id, job)
  if call('ZREM', key('wait', job.queue, job.tenant, job.kind), name_of(id, job.resource)) == 1 then
    note_if_empty(job.queue, job.tenant, job.kind)
  end
end

local function park(id, job)
  call('ZADD', key('parked', job.tenant, job.resource), job.score, id)
  call('ZADD', key('held', job.queue, job.tenant), job.score, id)
end

local function unpark(id, job)
  if job.resource == '' then return end
  call('ZREM', key('parked', job.tenant, job.resource), id)
  call('ZREM', key('held', job.queue, job.tenant), id)
end
