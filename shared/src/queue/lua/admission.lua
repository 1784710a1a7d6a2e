-- Which job runs next. One predicate decides: `obstacle_of_tenant`, `obstacle_of_kind` and
-- `holder_of` answer what stands in the way of a job, nil if nothing does; `admit` obeys them and
-- `why` tells them.

local function obstacle_of_tenant(tenant)
  if paused(tenant, '') then return 'paused' end
  if live(key('slots', tenant)) >= limits(tenant).max then return 'tenant_limit' end
end

local function obstacle_of_kind(queue, tenant, kind)
  if paused(tenant, kind) then return 'paused' end
  local most = limits(tenant).kinds[kind]
  if most and live(key('slots', tenant, kind)) >= most then return 'kind_limit' end
  if (fleet(queue)[kind] or 0) == 0 then return 'no_worker' end
end

-- The job that holds the resource key, if it is another. A holder without a live slot holds nothing.
local function holder_of(tenant, resource, id)
  if resource == '' then return nil end
  local holder = call('HGET', key('holders', tenant), resource)
  if not holder or holder == id then return nil end
  local until_ms = call('ZSCORE', key('slots', tenant), holder)
  if until_ms and tonumber(until_ms) > now then return holder end
end

-- Free places of the fleet: in all, and for each kind. Workers may differ in what they can run.
local function room(queue)
  local free, used = {}, 0
  for kind in pairs(kinds_of(queue)) do
    local running = live(key('admitted', queue, kind))
    free[kind] = (fleet(queue)[kind] or 0) - running
    used = used + running
  end
  return (fleet(queue)[''] or 0) - used, free
end

local function push_waiting(id, job)
  local kinds = key('kinds', job.queue, job.tenant)
  call('ZADD', key('wait', job.queue, job.tenant, job.kind), job.score, id)
  if call('SADD', kinds, job.kind) == 1 then
    call('SADD', key('tenants', job.queue), job.tenant)
    call('SADD', key('seen', job.queue), job.kind)
  end
end

-- Removes a job from its waiting list; with no id, the first one. Answers the id and its score.
local function take_waiting(queue, tenant, kind, id)
  local list = key('wait', queue, tenant, kind)
  local taken
  if id then
    taken = {call('ZREM', list, id) == 1 and id or nil}
  else
    taken = call('ZPOPMIN', list)
  end
  if call('EXISTS', list) == 0 then
    call('SREM', key('kinds', queue, tenant), kind)
    if call('EXISTS', key('kinds', queue, tenant)) == 0 then call('SREM', key('tenants', queue), tenant) end
  end
  return taken[1], taken[2]
end

-- Puts the tenant where its next turn is due, if it has something to run and may run it. A tenant
-- that was away does not bring back credit for the time it had nothing to do.
local function enter_ring(queue, tenant)
  if call('EXISTS', key('kinds', queue, tenant)) == 0 or obstacle_of_tenant(tenant) then return end
  local clock = tonumber(call('GET', key('clock', queue)) or '0')
  local own = tonumber(call('HGET', key('vtime', queue), tenant) or '0')
  call('ZADD', key('ring', queue), 'NX', math.max(clock, own), tenant)
end

local function enter_rings(tenant)
  for _, queue in ipairs(each_queue()) do enter_ring(queue, tenant) end
end

-- For changes that may concern any tenant: a kind that has workers again, a switch that is off.
local function enter_all()
  for _, queue in ipairs(each_queue()) do
    for _, tenant in ipairs(call('SMEMBERS', key('tenants', queue))) do enter_ring(queue, tenant) end
  end
end

-- What a turn costs in virtual time before it is known how long the job runs: what such jobs lately
-- took. `charge` puts it right afterwards.
local known_cost = {}
local function expected_cost(tenant, kind)
  local name = tenant .. '\t' .. kind
  if not known_cost[name] then
    local known = call('HMGET', P .. 'cost', name, '\t' .. kind)
    known_cost[name] = tonumber(known[1] or known[2] or '1')
  end
  return known_cost[name]
end

-- Gives the job its slot. `hand_over` brings it to the workers.
local function grant(queue, tenant, id, job)
  local until_ms = now + lease
  call('ZADD', key('slots', tenant), until_ms, id)
  if limits(tenant).kinds[job.kind] then call('ZADD', key('slots', tenant, job.kind), until_ms, id) end
  call('ZADD', key('admitted', queue, job.kind), until_ms, id)
  if job.resource ~= '' then call('HSET', key('holders', tenant), job.resource, id) end
end

-- Ids go to the workers through apalis-redis' ready list.
local function hand_over(queue, granted)
  if #granted == 0 then return end
  local base = key('queue', queue)
  for first = 1, #granted, 100 do
    local data, ids = {}, {}
    for i = first, math.min(first + 99, #granted) do
      local id = granted[i]
      data[#data + 1] = id
      data[#data + 1] = '""'
      ids[#ids + 1] = id
      call('HSET', base .. ':meta:' .. id, 'attempts', 0, 'max_attempts', 1, 'status', 'Pending')
    end
    call('HSET', base .. ':data', unpack(data))
    call('RPUSH', base .. ':active', unpack(ids))
  end
  call('PUBLISH', key('wake', queue), #granted)
end

-- The tenant's next job among the kinds that may run: highest priority, then earliest. A job whose
-- resource key is taken is parked on the way; its holder brings it back.
local function choose(queue, tenant, free)
  while true do
    local kinds = call('SMEMBERS', key('kinds', queue, tenant))
    local best, best_score
    for _, kind in ipairs(kinds) do
      if (free[kind] or 0) > 0 and not obstacle_of_kind(queue, tenant, kind) then
        local head = call('ZRANGE', key('wait', queue, tenant, kind), 0, 0, 'WITHSCORES')
        if head[1] and (not best or tonumber(head[2]) < best_score) then
          best, best_score = kind, tonumber(head[2])
        end
      end
    end
    if not best then return nil end
    local id, score = take_waiting(queue, tenant, best)
    local job = info(id)
    if job and holder_of(tenant, job.resource, id) then
      call('ZADD', key('parked', tenant, job.resource), score, id)
    elseif job then
      return id, job
    end
  end
end

-- A tenant that may run, but only kinds whose workers are all busy, leaves the ring until one of them
-- has a free place; it would hold up those behind it.
local function await_place(queue, tenant, free)
  for _, kind in ipairs(call('SMEMBERS', key('kinds', queue, tenant))) do
    if (free[kind] or 0) <= 0 and not obstacle_of_kind(queue, tenant, kind) then
      call('SADD', key('awaiting', queue, kind), tenant)
    end
  end
end

local function call_back(queue, free)
  for kind, places in pairs(free) do
    if places > 0 then
      for _, tenant in ipairs(call('SPOP', key('awaiting', queue, kind), math.min(places, 100))) do
        enter_ring(queue, tenant)
      end
    end
  end
end

-- Takes turns among the tenants of a queue until the fleet is full or nobody may run more.
local function admit(queue)
  if not call('GET', P .. 'epoch') then return 0 end
  local free, free_of = room(queue)
  if free <= 0 then return 0 end
  call_back(queue, free_of)
  local ring = key('ring', queue)
  local granted = {}
  while free > 0 do
    local turn = call('ZRANGE', ring, 0, 0, 'WITHSCORES')
    local tenant = turn[1]
    if not tenant then break end
    local id, job
    local may_run = not obstacle_of_tenant(tenant)
    if may_run then id, job = choose(queue, tenant, free_of) end
    if id then
      grant(queue, tenant, id, job)
      granted[#granted + 1] = id
      local vtime = tonumber(turn[2])
      local after = vtime + math.max(1, expected_cost(tenant, job.kind)) / limits(tenant).weight
      call('SET', key('clock', queue), vtime)
      call('HSET', key('vtime', queue), tenant, after)
      call('ZADD', ring, after, tenant)
      free = free - 1
      free_of[job.kind] = free_of[job.kind] - 1
    else
      call('ZREM', ring, tenant)
      if may_run then await_place(queue, tenant, free_of) end
    end
  end
  hand_over(queue, granted)
  return #granted
end

local function admit_all()
  for _, queue in ipairs(each_queue()) do admit(queue) end
end
