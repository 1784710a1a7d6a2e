-- What becomes of a slot when its job is done, lost or given up.

-- Takes a job's slot away. Whoever waited for its resource key comes next.
local function free_slot(id, job)
  call('ZREM', key('slots', job.tenant), id)
  if limits(job.tenant).kinds[job.kind] then call('ZREM', key('slots', job.tenant, job.kind), id) end
  call('ZREM', key('admitted', job.queue, job.kind), id)
  if job.resource ~= '' and call('HGET', key('holders', job.tenant), job.resource) == id then
    call('HDEL', key('holders', job.tenant), job.resource)
    local next_up = call('ZPOPMIN', key('parked', job.tenant, job.resource))
    local waiting = next_up[1] and info(next_up[1])
    if waiting then push_waiting(next_up[1], waiting) end
  end
end

-- What apalis-redis holds of ids that were handed over.
local function forget_ready(queue, ids)
  if #ids == 0 then return end
  local base = key('queue', queue)
  for first = 1, #ids, 500 do
    local some, metas = {}, {}
    for i = first, math.min(first + 499, #ids) do
      some[#some + 1] = ids[i]
      metas[#metas + 1] = base .. ':meta:' .. ids[i]
    end
    call('HDEL', base .. ':data', unpack(some))
    call('DEL', unpack(metas))
  end
end

-- Takes back everything an admission gave. The job is unknown to the gate afterwards; if its row
-- still waits, the sweeper offers it again.
local function let_go(id, job)
  free_slot(id, job)
  call('HDEL', P .. 'claimed', id)
  call('HDEL', P .. 'jobs', id)
end

-- An admission that nobody claimed: the job waits again, where it stood.
local function put_back(id, job)
  free_slot(id, job)
  push_waiting(id, job)
  forget_ready(job.queue, {id})
end

-- Nobody waits for more than this much of others' running time (ms) because of what it ran before.
local LONGEST_DEBT = 10000

-- Puts the tenant's virtual time right when it is known how long the job ran.
local function charge(job, ran_ms)
  local expected = math.max(1, expected_cost(job.tenant, job.kind))
  local more = (math.max(1, ran_ms) - expected) / limits(job.tenant).weight
  local ring = key('ring', job.queue)
  local turn = tonumber(call('ZSCORE', ring, job.tenant) or '0')
  local own = tonumber(call('HGET', key('vtime', job.queue), job.tenant) or '0')
  local clock = tonumber(call('GET', key('clock', job.queue)) or '0')
  local after = math.min(math.max(turn, own) + more, clock + LONGEST_DEBT)
  call('HSET', key('vtime', job.queue), job.tenant, after)
  call('ZADD', ring, 'XX', after, job.tenant)
  known_cost[job.tenant .. '\t' .. job.kind] = expected + (ran_ms - expected) * 0.2
end

-- Written once a script, for all jobs that it charged.
local function remember_costs()
  local pairs_of = {}
  for name, cost in pairs(known_cost) do
    pairs_of[#pairs_of + 1] = name
    pairs_of[#pairs_of + 1] = cost
    local kind = string.match(name, '\t(.*)$')
    pairs_of[#pairs_of + 1] = '\t' .. kind
    pairs_of[#pairs_of + 1] = cost
  end
  if #pairs_of > 0 then call('HSET', P .. 'cost', unpack(pairs_of)) end
end

-- Ends a worker's registration with apalis-redis. Ids that it fetched and never claimed wait again.
local function end_registration(worker, queue)
  call('ZREM', key('queue', queue, 'workers'), worker)
  local inflight = key('queue', queue, 'inflight', worker)
  local touched = {}
  for _, id in ipairs(call('SMEMBERS', inflight)) do
    local job = info(id)
    if job and call('HEXISTS', P .. 'claimed', id) == 0 and call('ZSCORE', key('admitted', queue, job.kind), id) then
      put_back(id, job)
      touched[job.tenant] = true
    end
  end
  for tenant in pairs(touched) do enter_ring(queue, tenant) end
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
