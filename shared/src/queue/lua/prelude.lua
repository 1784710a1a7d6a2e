-- What every script of the gate shares. Scripts are sent as this text plus their own.
--
-- Keys, each behind the shard's prefix P:
--   epoch              the epoch under which admission is open; missing = Redis was emptied, or
--                      nobody reached it for a lease. It lives by the heartbeats: after an outage
--                      that was longer than the leases, slots may have lapsed whose jobs still run,
--                      so admission stays closed until the gate is filled anew from the rows
--   queues             SET of queue names
--   jobs               HASH id -> tenant \t queue \t kind \t score \t resource key: what the gate knows
--   wait:{queue}:{tenant}    ZSET id -> score, lowest first
--   parked:{tenant}:{key}    ZSET id -> score, behind the job that holds the resource key
--   ring:{queue}       ZSET tenant -> virtual time; only tenants that may run something
--   vtime:{queue}      HASH tenant -> virtual time, kept while a tenant is out of the ring
--   clock:{queue}      virtual time of the last turn
--   slots:{tenant}     ZSET id -> end of lease (ms); live members are the tenant's running jobs
--   admitted:{queue}   ZSET id -> end of lease (ms); live members fill the fleet
--   holders:{tenant}   HASH resource key -> id
--   claimed            HASH id -> worker
--   limits             HASH tenant -> max:weight
--   workers:{queue}    ZSET worker -> end of its registration (ms)
--   capacity:{queue}   HASH worker -> jobs it can hold
--   queue:{queue}:...  apalis-redis' own keys: active, data, meta:{id}, inflight:{worker}, workers
--
-- ARGV[1] = P, ARGV[2] = now (ms), ARGV[3] = lease of an admission (ms)
local P = ARGV[1]
local now = tonumber(ARGV[2])
local lease = tonumber(ARGV[3])
local epoch_life = lease
local call = redis.call

local function key(...)
  return P .. table.concat({...}, ':')
end

local function info(id)
  local text = call('HGET', P .. 'jobs', id)
  if not text then return nil end
  local tenant, queue, kind, score, resource = string.match(text, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$')
  return {tenant = tenant, queue = queue, kind = kind, score = score, resource = resource}
end

local function limits(tenant)
  local text = call('HGET', P .. 'limits', tenant)
  if not text then return 0, 1 end
  local max, weight = string.match(text, '^(%d+):(%d+)$')
  return tonumber(max), tonumber(weight)
end

local function live(zset)
  return call('ZCOUNT', zset, '(' .. now, '+inf')
end

-- Puts the tenant where its next turn is due, if it has something to run and may run it. A tenant
-- that was away does not bring back credit for the time it had nothing to do.
local function enter_ring(queue, tenant)
  if call('EXISTS', key('wait', queue, tenant)) == 0 then return end
  local max = limits(tenant)
  if live(key('slots', tenant)) >= max then return end
  local clock = tonumber(call('GET', key('clock', queue)) or '0')
  local own = tonumber(call('HGET', key('vtime', queue), tenant) or '0')
  call('ZADD', key('ring', queue), 'NX', math.max(clock, own), tenant)
end

local function enter_rings(tenant)
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do enter_ring(queue, tenant) end
end

local function room(queue)
  local total = 0
  for _, n in ipairs(call('HVALS', key('capacity', queue))) do total = total + tonumber(n) end
  return total - live(key('admitted', queue))
end

-- Whether another job holds the resource key. A holder without a live slot holds nothing.
local function held(tenant, resource, id)
  local holder = call('HGET', key('holders', tenant), resource)
  if not holder or holder == id then return false end
  local until_ms = call('ZSCORE', key('slots', tenant), holder)
  return until_ms and tonumber(until_ms) > now
end

-- Gives the job its slot and hands its id to the workers through apalis-redis' ready list.
local function grant(queue, tenant, id, job)
  local until_ms = now + lease
  call('ZADD', key('slots', tenant), until_ms, id)
  call('ZADD', key('admitted', queue), until_ms, id)
  if job.resource ~= '' then call('HSET', key('holders', tenant), job.resource, id) end
  local base = key('queue', queue)
  call('HSET', base .. ':data', id, '"' .. tenant .. '"')
  call('HSET', base .. ':meta:' .. id, 'attempts', 0, 'max_attempts', 1, 'status', 'Pending')
  call('RPUSH', base .. ':active', id)
end

-- Takes turns among the tenants of a queue until the fleet is full or nobody may run more.
local function admit(queue)
  if not call('GET', P .. 'epoch') then return 0 end
  local free = room(queue)
  local ring = key('ring', queue)
  local granted = 0
  while free > 0 do
    local turn = call('ZRANGE', ring, 0, 0, 'WITHSCORES')
    local tenant = turn[1]
    if not tenant then break end
    local vtime = tonumber(turn[2])
    local max, weight = limits(tenant)
    local head = nil
    if live(key('slots', tenant)) < max then head = call('ZPOPMIN', key('wait', queue, tenant)) end
    local id = head and head[1]
    if not id then
      call('ZREM', ring, tenant)
    else
      local job = info(id)
      if job and job.resource ~= '' and held(tenant, job.resource, id) then
        call('ZADD', key('parked', tenant, job.resource), head[2], id)
      elseif job then
        grant(queue, tenant, id, job)
        local after = vtime + 1 / weight
        call('SET', key('clock', queue), vtime)
        call('HSET', key('vtime', queue), tenant, after)
        call('ZADD', ring, after, tenant)
        granted = granted + 1
        free = free - 1
      end
    end
  end
  if granted > 0 then call('PUBLISH', key('wake', queue), granted) end
  return granted
end

-- Takes back everything an admission gave. The job is unknown to the gate afterwards; if its row
-- still waits, the sweeper offers it again.
local function let_go(id, job)
  local slots = key('slots', job.tenant)
  call('ZREM', slots, id)
  call('ZREM', key('admitted', job.queue), id)
  call('HDEL', P .. 'claimed', id)
  call('HDEL', P .. 'jobs', id)
  local base = key('queue', job.queue)
  call('HDEL', base .. ':data', id)
  call('DEL', base .. ':meta:' .. id)
  if job.resource ~= '' and call('HGET', key('holders', job.tenant), job.resource) == id then
    call('HDEL', key('holders', job.tenant), job.resource)
    local next_up = call('ZPOPMIN', key('parked', job.tenant, job.resource))
    if next_up[1] then
      local waiting = info(next_up[1])
      if waiting then call('ZADD', key('wait', waiting.queue, job.tenant), next_up[2], next_up[1]) end
    end
  end
  enter_rings(job.tenant)
end

-- Ends a worker's registration with apalis-redis. Ids that it fetched and never claimed are
-- forgotten, to be offered again.
local function end_registration(worker, queue)
  call('ZREM', key('queue', queue, 'workers'), worker)
  local inflight = key('queue', queue, 'inflight', worker)
  for _, id in ipairs(call('SMEMBERS', inflight)) do
    local job = info(id)
    if job and call('HEXISTS', P .. 'claimed', id) == 0 then let_go(id, job) end
  end
  call('DEL', inflight, key('queue', queue, 'workers', 'metadata', worker))
end
