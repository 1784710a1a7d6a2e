-- Queued rows, each of which must be known here and have a place: a waiting list, a held resource key
-- or a slot. What is missing is made good, and tenants with waiting jobs are in the ring again.
-- ARGV[4] = 1 to mend, 0 to look only, ARGV[5..] = id, info for each job
-- Returns the ids that were not known or had no place.
local mend = ARGV[4] == '1'
local ids, texts, jobs, lists = {}, {}, {}, {}
for i = 5, #ARGV, 2 do
  local at = #ids + 1
  ids[at], texts[at], jobs[at] = ARGV[i], ARGV[i + 1], parse(ARGV[i + 1])
  local name = key('wait', jobs[at].queue, jobs[at].tenant, jobs[at].kind)
  local list = lists[name] or {job = jobs[at], names = {}, places = {}}
  lists[name] = list
  list.names[#list.names + 1] = name_of(ids[at], jobs[at].resource)
  list.places[#list.places + 1] = at
end
local known, waits = fields('jobs', ids), {}
for name, list in pairs(lists) do
  local found = scores(name, list.names)
  for i, at in ipairs(list.places) do
    if found[i] then
      waits[at] = true
      list.waiting = true
    end
  end
end

-- Whether the job has its slot or is on the way to one; both halves of it are there afterwards.
local function is_admitted(id, job)
  local admitted, slots = key('admitted', job.queue, job.kind), key('slots', job.tenant)
  local of_fleet = tonumber(call('ZSCORE', admitted, id) or '0')
  local of_tenant = tonumber(call('ZSCORE', slots, id) or '0')
  -- What lapsed in the fleet's list is put back by `reap`.
  if of_fleet == 0 and of_tenant <= now then return false end
  local until_ms = math.max(of_fleet, of_tenant)
  if mend and until_ms > now then
    if of_fleet == 0 then
      call('ZADD', admitted, until_ms, id)
      note_kind(job.queue, job.kind)
    end
    if of_tenant == 0 then call('ZADD', slots, until_ms, id) end
    if limits(job.tenant).kinds[job.kind] then call('ZADD', key('slots', job.tenant, job.kind), until_ms, id) end
    if job.resource ~= '' then call('HSETNX', key('holders', job.tenant), job.resource, id) end
  end
  return true
end

local function is_parked(id, job)
  if job.resource == '' or not call('ZSCORE', key('parked', job.tenant, job.resource), id) then return false end
  -- Behind nobody, nobody would call it.
  if not holder_of(job.tenant, job.resource, id) then return false end
  if mend then call('ZADD', key('held', job.queue, job.tenant), job.score, id) end
  return true
end

local lost, infos, homeless = {}, {}, {}
for i, id in ipairs(ids) do
  local placed = waits[i] or is_admitted(id, jobs[i]) or is_parked(id, jobs[i])
  if not known[i] then
    infos[#infos + 1] = id
    infos[#infos + 1] = texts[i]
  end
  if not placed then homeless[#homeless + 1] = i end
  if not placed or not known[i] then lost[#lost + 1] = id end
end
if not mend then return lost end
if #infos > 0 then bulk('HSET', P .. 'jobs', infos) end
for _, i in ipairs(homeless) do
  local id, job = ids[i], jobs[i]
  -- A claim without a slot is one that nobody would ever settle.
  call('HDEL', P .. 'claimed', id)
  call('ZREM', key('slots', job.tenant), id)
  unpark(id, job)
  -- It may be on its way from an admission of which nothing else is left. Two of a name would leave one
  -- that nobody can read.
  take_from_ready(job.queue, id)
  if holder_of(job.tenant, job.resource, id) then
    park(id, job)
  else
    push_waiting(id, job)
    lists[key('wait', job.queue, job.tenant, job.kind)].waiting = true
  end
end
local queues = {}
for _, list in pairs(lists) do
  if list.waiting then
    local job = list.job
    note_queue(job.queue)
    note_waiting(job)
    table.insert(inner(queues, job.queue), job.tenant)
  end
end
for queue, tenants in pairs(queues) do
  enter_ring(queue, tenants)
  admit(queue)
end
return lost
