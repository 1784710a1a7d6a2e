-- What becomes of a slot when its job is done, lost or given up.

-- The first of those that are parked behind a resource key waits in the line again. An id that the gate
-- does not know is left out: if its row waits, the sweeper offers it.
local function call_next(tenant, resource)
  for _ = 1, PARKED_AT_ONCE do
    local id = call('ZPOPMIN', key('parked', tenant, resource))[1]
    if not id then return end
    local job = info(id)
    if job then
      call('ZREM', key('held', job.queue, tenant), id)
      return push_waiting(id, job)
    end
    for _, queue in ipairs(each_queue()) do call('ZREM', key('held', queue, tenant), id) end
  end
end

-- Takes jobs' slots away. Whoever waited for a resource key comes next.
local function free_slots(line, ids, keys)
  bulk('ZREM', key('slots', line.tenant), ids)
  known_running[line.tenant] = nil
  if limits(line.tenant).kinds[line.kind] then
    bulk('ZREM', key('slots', line.tenant, line.kind), ids)
    known_running[line.tenant .. ':' .. line.kind] = nil
  end
  later('ZREM', key('admitted', line.queue, line.kind), ids)
  for id, resource in pairs(keys) do
    if call('HGET', key('holders', line.tenant), resource) == id then
      call('HDEL', key('holders', line.tenant), resource)
      call_next(line.tenant, resource)
    end
  end
end

-- Takes back everything an admission gave. The jobs are unknown to the gate afterwards; if a row
-- still waits, the sweeper offers it again.
local function let_go(line, ids, keys)
  if #ids == 0 then return end
  free_slots(line, ids, keys)
  later('HDEL', P .. 'claimed', ids)
  later('HDEL', P .. 'jobs', ids)
end

-- An admission that nobody claimed: the job waits again, where it stood.
local function put_back(id, job)
  free_slots(alone(id, job))
  push_waiting(id, job)
  take_from_ready(job.queue, id)
end

-- What jobs took moves what is expected of the next: each by a fifth of what it was off, the first of all
-- by the whole. It is known by tenant and kind, and by kind alone for tenants that had none yet.
local function learn(tenant, kind, before, ran, count)
  local cost = ran / count
  if before then cost = before + (cost - before) * (1 - 0.8 ^ count) end
  inner(known_cost, kind)[tenant] = cost
  later_field(P .. 'cost', cost_name(tenant, kind), string.format('%.3f', cost))
end

-- Puts tenants' virtual times in a queue right when it is known how long their jobs ran. Each of `charges`
-- is a line, how long jobs of it ran in all (ms), and how many.
local function charge(queue, charges)
  local tenants, kinds = {}, {}
  for i, one in ipairs(charges) do
    local kind = one.line.kind
    tenants[i] = one.line.tenant
    kinds[kind] = kinds[kind] or {tenants = {ALL}, ran = 0, count = 0}
    local all = kinds[kind]
    table.insert(all.tenants, one.line.tenant)
    all.ran, all.count = all.ran + one.ran, all.count + one.count
  end
  for kind, all in pairs(kinds) do learn_costs(kind, all.tenants) end
  local ring, clock = key('ring', queue), clock_of(queue)
  local turns, vtimes, after = scores(ring, tenants), fields('vtime:' .. queue, tenants), {}
  for i, one in ipairs(charges) do
    local tenant, kind = one.line.tenant, one.line.kind
    local own = after[tenant] or math.max(turns[i] or 0, tonumber(vtimes[i] or '0'))
    -- What it took, against what was paid at admission.
    local took = math.ceil(math.max(one.count, one.ran) / limits(tenant).weight * MICROSECONDS)
    after[tenant] = math.min(own + took - one.count * price(tenant, kind), clock + LONGEST_DEBT * MICROSECONDS)
    learn(tenant, kind, known_cost_of(tenant, kind), one.ran, one.count)
  end
  for kind, all in pairs(kinds) do learn(ALL, kind, inner(known_cost, kind)[ALL], all.ran, all.count) end
  local times, places = {}, {}
  for tenant, time in pairs(after) do
    local text = string.format('%.0f', time)
    times[#times + 1] = tenant
    times[#times + 1] = text
    places[#places + 1] = text
    places[#places + 1] = tenant
  end
  bulk('HSET', key('vtime', queue), times)
  call('ZADD', ring, 'XX', unpack(places))
end

-- The resource keys of those that have one, by their infos.
local function keys_of(ids, texts)
  local keys = {}
  for i, id in ipairs(ids) do
    local resource = resource_of(texts[i])
    if resource ~= '' then keys[id] = resource end
  end
  return keys
end

-- Jobs that their workers gave back: each waits again where it stood, before anybody behind it may run.
-- One that the gate does not know any more is offered by the sweeper.
local function give_back(line, ids)
  if #ids == 0 then return end
  local texts = fields('jobs', ids)
  free_slots(line, ids, keys_of(ids, texts))
  later('HDEL', P .. 'claimed', ids)
  for i, id in ipairs(ids) do
    if texts[i] then push_waiting(id, parse(texts[i])) end
  end
end

-- Ends a worker's registration with apalis-redis. Ids that it fetched and never claimed wait again.
local function end_registration(worker, queue)
  call('ZREM', key('queue', queue, 'workers'), worker)
  local inflight = key('queue', queue, 'inflight', worker)
  local touched = {}
  for _, name in ipairs(call('SMEMBERS', inflight)) do
    local lines = entry_of(queue, name)
    forget_ready(queue, {name})
    for _, line in ipairs(lines) do
      for _, id in ipairs(line.ids) do
        local job = info(id)
        if job and call('HEXISTS', P .. 'claimed', id) == 0 and call('ZSCORE', key('admitted', queue, job.kind), id) then
          put_back(id, job)
          touched[#touched + 1] = job.tenant
        end
      end
    end
  end
  enter_ring(queue, touched)
  call('DEL', inflight, key('queue', queue, 'workers', 'metadata', worker))
end

-- What the live workers of a queue can hold, counted anew whenever one of them changes.
local function count_fleet(queue)
  local before = fleet(queue)
  local total = {}
  for _, text in ipairs(call('HVALS', key('members', queue))) do
    local capacity, kinds = string.match(text, '^(%d+)\t(.*)$')
    total[''] = (total[''] or 0) + tonumber(capacity)
    for kind in string.gmatch(kinds, '[^,]+') do total[kind] = (total[kind] or 0) + tonumber(capacity) end
  end
  call('DEL', key('fleet', queue))
  local news = false
  for kind, capacity in pairs(total) do
    call('HSET', key('fleet', queue), kind, capacity)
    if capacity > 0 and (before[kind] or 0) == 0 then news = true end
  end
  known_fleet[queue] = total
  if news then enter_all() end
end

local function leave_fleet(worker, queue)
  call('ZREM', key('workers', queue), worker)
  if call('HDEL', key('members', queue), worker) == 1 then count_fleet(queue) end
end
