-- Which job runs next. One predicate decides: `obstacle_of_tenant`, `obstacle_of_kind` and
-- `holder_of` answer what stands in the way of a job, nil if nothing does; `admit` obeys them and
-- `why` tells them.

local function obstacle_of_tenant(tenant)
  if paused(tenant, '') then return 'paused' end
  if running(tenant) >= limits(tenant).max then return 'tenant_limit' end
end

local function obstacle_of_kind(queue, tenant, kind)
  if paused(tenant, kind) then return 'paused' end
  local most = limits(tenant).kinds[kind]
  if most and running(tenant, kind) >= most then return 'kind_limit' end
  if (fleet(queue)[kind] or 0) == 0 then return 'no_worker' end
end

-- The job that holds the resource key, if it is another. A holder without a slot holds nothing. One
-- whose slot has ended is about to be put back, where it comes first again; should nobody do that, it
-- holds the key for another lease.
local function holder_of(tenant, resource, id)
  if resource == '' then return nil end
  local holder = call('HGET', key('holders', tenant), resource)
  if not holder or holder == id then return nil end
  local until_ms = call('ZSCORE', key('slots', tenant), holder)
  if until_ms and tonumber(until_ms) > now - lease then return holder end
end

local function park(id, job, score)
  call('ZADD', key('parked', job.tenant, job.resource), score, id)
  call('ZADD', key('held', job.queue, job.tenant), score, id)
end

local function unpark(id, job)
  if job.resource == '' then return end
  call('ZREM', key('parked', job.tenant, job.resource), id)
  call('ZREM', key('held', job.queue, job.tenant), id)
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

-- A job's list, kind and tenant in the lists of those that wait.
local function note_waiting(job)
  if call('SADD', key('kinds', job.queue, job.tenant), job.kind) == 1 then
    call('SADD', key('tenants', job.queue), job.tenant)
    call('SADD', key('seen', job.queue), job.kind)
  end
end

local function push_waiting(id, job)
  call('ZADD', key('wait', job.queue, job.tenant, job.kind), job.score, id)
  note_waiting(job)
end

-- After a waiting list was taken from: nothing is left of it, or of its tenant, in the lists of those
-- that wait. Answers whether nothing of the tenant waits in this queue.
local function tidy_waiting(queue, tenant, kind)
  if call('EXISTS', key('wait', queue, tenant, kind)) == 1 then return false end
  call('SREM', key('kinds', queue, tenant), kind)
  if call('EXISTS', key('kinds', queue, tenant)) == 1 then return false end
  call('SREM', key('tenants', queue), tenant)
  return true
end

local function remove_waiting(id, job)
  if call('ZREM', key('wait', job.queue, job.tenant, job.kind), id) == 1 then
    tidy_waiting(job.queue, job.tenant, job.kind)
  end
end

-- Puts the tenant where its next turn is due, if it has something to run and may run it. A tenant
-- that was away does not bring back credit for the time it had nothing to do.
local known_clock = {}
local function clock_of(queue)
  known_clock[queue] = known_clock[queue] or tonumber(call('GET', key('clock', queue)) or '0')
  return known_clock[queue]
end
local function enter_ring(queue, tenant)
  if call('EXISTS', key('kinds', queue, tenant)) == 0 or obstacle_of_tenant(tenant) then return end
  local clock = clock_of(queue)
  local own = tonumber(call('HGET', key('vtime', queue), tenant) or '0')
  call('ZADD', key('ring', queue), 'NX', math.max(clock, own), tenant)
end

-- The same for many. Those that are in the ring already, mostly nearly all, are known by one look.
local function enter_missing(queue, tenants)
  local missing = {}
  for first = 1, #tenants, 2000 do
    local last = math.min(first + 1999, #tenants)
    local turns = call('ZMSCORE', key('ring', queue), unpack(tenants, first, last))
    for i = first, last do
      if not turns[i - first + 1] then missing[#missing + 1] = tenants[i] end
    end
  end
  learn_limits(missing)
  for _, tenant in ipairs(missing) do enter_ring(queue, tenant) end
end

local function enter_rings(tenants)
  for _, queue in ipairs(each_queue()) do enter_missing(queue, tenants) end
end

-- A script runs alone, so what it may do is bounded: tenants brought back to the ring, turns that gave
-- nobody anything, jobs parked. What is left over stays where it is, and the next call goes on; `reap`
-- comes each second and says whether there is more.
local TENANTS_AT_ONCE = 500
local IDLE_TURNS = 500
local PARKED_AT_ONCE = 500
local unfinished = false
local parked_here = 0

local function enter_some(queue)
  local cursor = call('HGET', P .. 'entering', queue)
  if not cursor then return end
  local page = call('SSCAN', key('tenants', queue), cursor, 'COUNT', TENANTS_AT_ONCE)
  enter_missing(queue, page[2])
  if page[1] == '0' then
    call('HDEL', P .. 'entering', queue)
  else
    call('HSET', P .. 'entering', queue, page[1])
    unfinished = true
  end
end

-- For changes that may concern any tenant: a kind that has workers again, a switch that is off.
local function enter_all()
  for _, queue in ipairs(each_queue()) do
    call('HSET', P .. 'entering', queue, '0')
    enter_some(queue)
  end
end

-- A turn is worth this much of expected running time (ms), and one job at least.
local TURN = 5
-- What the shortest of jobs counts in it: carrying one costs something too.
local SHORTEST = 0.2

-- Nobody waits for more than this much of others' running time (ms) because of what it ran before.
local LONGEST_DEBT = 10000

-- What a job costs in virtual time before it is known how long it runs: what such jobs lately took, or
-- a whole turn where there were none. `charge` puts it right afterwards.
local known_cost = {}
local function expected_cost(tenant, kind)
  local name = tenant .. '\t' .. kind
  if not known_cost[name] then
    local known = call('HMGET', P .. 'cost', name, '\t' .. kind)
    known_cost[name] = tonumber(known[1] or known[2] or TURN)
  end
  return known_cost[name]
end

-- What a job adds to its tenant's virtual time when it is admitted.
local function price(tenant, kind)
  return math.min(math.max(1, expected_cost(tenant, kind)) / limits(tenant).weight, LONGEST_DEBT)
end

-- Gives jobs their slots, or renews them.
local function give_slots(line, ids)
  local slots = {}
  for i, id in ipairs(ids) do
    slots[2 * i - 1] = slot_end
    slots[2 * i] = id
  end
  bulk('ZADD', key('slots', line.tenant), slots)
  if limits(line.tenant).kinds[line.kind] then bulk('ZADD', key('slots', line.tenant, line.kind), slots) end
  later('ZADD', key('admitted', line.queue, line.kind), slots)
end

-- Lets jobs run: counts them, and notes whose the resource keys are. `hand_over` brings them to the
-- workers.
local function grant(line, ids, keys)
  local tenant, kind = line.tenant, line.kind
  known_running[tenant] = running(tenant) + #ids
  if limits(tenant).kinds[kind] then known_running[tenant .. ':' .. kind] = running(tenant, kind) + #ids end
  give_slots(line, ids)
  for id, resource in pairs(keys) do call('HSET', key('holders', tenant), resource, id) end
end

-- Jobs expected to take less than this (ms) share an entry of the ready list: carrying each by itself
-- would cost more than running it.
local BRIEF = 1
local MOST_IN_ENTRY = 50

-- So many that the places of a worker are not taken by a single entry.
local function most_in_entry(queue)
  local workers = math.max(1, call('HLEN', key('members', queue)))
  local places = (fleet(queue)[''] or 0) / workers
  return math.min(math.max(1, math.floor(places / 8)), MOST_IN_ENTRY)
end

-- An entry has a text for each line in it: tenant \t kind \t id,id. It goes by the name of its first job.
local function add_to(entry, line, ids, first, last)
  entry[#entry + 1] = line.tenant .. '\t' .. line.kind .. '\t' .. table.concat(ids, ',', first, last)
  entry.name = entry.name or ids[first]
  entry.count = (entry.count or 0) + last - first + 1
end

-- Puts granted jobs into entries.
local function pack(entries, line, ids, cost, most)
  local brief = cost < BRIEF
  local next_one = 1
  while next_one <= #ids do
    local entry = entries[#entries]
    if not (brief and entry and entry.brief and entry.count < most) then
      entry = {brief = brief}
      entries[#entries + 1] = entry
    end
    local room = brief and most - (entry.count or 0) or 1
    local last = math.min(next_one + room - 1, #ids)
    add_to(entry, line, ids, next_one, last)
    next_one = last + 1
  end
end

-- Entries go to the workers through apalis-redis' ready list.
local function hand_over(queue, entries)
  if #entries == 0 then return end
  local base = key('queue', queue)
  local data, names = {}, {}
  for i, entry in ipairs(entries) do
    names[i] = entry.name
    data[#data + 1] = entry.name
    data[#data + 1] = table.concat(entry, '\n') .. (entry.count == 1 and PADDING or '')
    call('HSET', base .. ':meta:' .. entry.name, 'attempts', 0, 'max_attempts', 1, 'status', 'Pending')
  end
  bulk('HSET', base .. ':data', data)
  bulk('RPUSH', base .. ':active', names)
  call('PUBLISH', key('wake', queue), #names)
end

-- What apalis-redis holds of entries that were handed over.
local function forget_ready(queue, names)
  if #names == 0 then return end
  local base = key('queue', queue)
  local metas = {}
  for i, id in ipairs(names) do metas[i] = base .. ':meta:' .. id end
  bulk('HDEL', base .. ':data', names)
  for first = 1, #metas, 2000 do call('DEL', unpack(metas, first, math.min(first + 1999, #metas))) end
end

-- The lines of an entry, each with its ids; none if there is no entry of this name.
local function entry_of(queue, name)
  local text = call('HGET', key('queue', queue) .. ':data', name)
  local lines = {}
  for tenant, kind, ids in string.gmatch(text or '', '([^\t\n]*)\t([^\t\n]*)\t([^\n ]*)') do
    lines[#lines + 1] = {queue = queue, tenant = tenant, kind = kind, ids = split(ids)}
  end
  return lines
end

-- Takes a job out of the ready list; the others of its entry go on. One that travels under another's
-- name is left there: its slot is gone, so nobody can claim it.
local function take_from_ready(queue, id)
  local lines = entry_of(queue, id)
  if #lines == 0 then return end
  call('LREM', key('queue', queue, 'active'), 1, id)
  forget_ready(queue, {id})
  table.remove(lines[1].ids, 1)
  local rest = {}
  for _, line in ipairs(lines) do
    if #line.ids > 0 then add_to(rest, line, line.ids, 1, #line.ids) end
  end
  if #rest > 0 then hand_over(queue, {rest}) end
end

-- The kind of the tenant's next job among those that may run: highest priority, then earliest. Also
-- answers whether it is the only one.
local function next_kind(queue, tenant, free)
  local best, best_score, only = nil, nil, true
  local kinds = call('SMEMBERS', key('kinds', queue, tenant))
  for _, kind in ipairs(kinds) do
    if (free[kind] or 0) > 0 and not obstacle_of_kind(queue, tenant, kind) then
      if #kinds == 1 then return kind, true end
      local head = call('ZRANGE', key('wait', queue, tenant, kind), 0, 0, 'WITHSCORES')
      if head[1] then
        only = best == nil
        if not best or tonumber(head[2]) < best_score then
          best, best_score = kind, tonumber(head[2])
        end
      else
        tidy_waiting(queue, tenant, kind)
      end
    end
  end
  return best, only
end

-- How many jobs a turn gives. Where nobody else waits for one, turns need not be short.
local function length_of_turn(tenant, kind, most, others)
  local count = most
  if others then
    count = math.min(count, math.floor(TURN / math.max(SHORTEST, expected_cost(tenant, kind))))
  end
  count = math.min(count, limits(tenant).max - running(tenant))
  local most_of_kind = limits(tenant).kinds[kind]
  if most_of_kind then count = math.min(count, most_of_kind - running(tenant, kind)) end
  return math.max(1, count)
end

-- The jobs of a tenant's turn, at most `most`, all of one line: the line, its ids and their resource
-- keys, and whether nothing more of the tenant waits. A job whose resource key is taken is parked on the
-- way; its holder brings it back. Where too many are parked for one script there is no line, but `more`.
local function take_turn(queue, tenant, free, most, others)
  local held, look = {}, 1
  repeat
    local kind, only = next_kind(queue, tenant, free)
    if not kind then return {} end
    local count = only and length_of_turn(tenant, kind, math.min(most, free[kind]), others) or 1
    -- Behind one that was parked there often are more of its key.
    look = math.max(look, count)
    local popped = call('ZPOPMIN', key('wait', queue, tenant, kind), look)
    local ids, due = {}, {}
    for i = 1, #popped, 2 do
      ids[#ids + 1] = popped[i]
      due[#due + 1] = popped[i + 1]
    end
    local texts = #ids > 0 and fields('jobs', ids) or {}
    local taken, keys, over = {}, {}, {}
    for i, id in ipairs(ids) do
      local resource = resource_of(texts[i])
      if not texts[i] then
        -- The gate does not know it any more: if its row waits, the sweeper offers it.
      elseif resource ~= '' and (held[resource] or holder_of(tenant, resource, id)) then
        held[resource] = true
        park(id, parse(texts[i]), due[i])
        parked_here = parked_here + 1
      elseif #taken < count then
        taken[#taken + 1] = id
        if resource ~= '' then
          held[resource] = true
          keys[id] = resource
        end
      else
        over[#over + 1] = due[i]
        over[#over + 1] = id
      end
    end
    local is_last = false
    if #over > 0 then
      bulk('ZADD', key('wait', queue, tenant, kind), over)
    elseif #popped < 2 * look or not only then
      is_last = tidy_waiting(queue, tenant, kind)
    end
    if #taken > 0 then
      return {line = {queue = queue, tenant = tenant, kind = kind}, ids = taken, keys = keys, is_last = is_last}
    end
    look = 100
  until parked_here >= PARKED_AT_ONCE
  return {more = true}
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
  write_rest()
  if not call('GET', P .. 'epoch') then return 0 end
  local free, free_of = room(queue)
  if free <= 0 then return 0 end
  call_back(queue, free_of)
  local ring = key('ring', queue)
  local entries, granted, vtimes, clock = {}, 0, {}, nil
  local most = most_in_entry(queue)
  local aside, idle_turns = {}, 0
  while free > 0 do
    if idle_turns >= IDLE_TURNS then
      unfinished = true
      break
    end
    local first = call('ZRANGE', ring, 0, 1, 'WITHSCORES')
    local tenant, others = first[1], first[3] ~= nil
    if not tenant then break end
    local may_run = not obstacle_of_tenant(tenant)
    local turn = may_run and take_turn(queue, tenant, free_of, free, others) or {}
    if turn.line then
      local line, ids = turn.line, turn.ids
      grant(line, ids, turn.keys)
      pack(entries, line, ids, expected_cost(tenant, line.kind), most)
      granted = granted + #ids
      clock = tonumber(first[2])
      vtimes[tenant] = clock + #ids * price(tenant, line.kind)
      if turn.is_last then call('ZREM', ring, tenant) else call('ZADD', ring, vtimes[tenant], tenant) end
      free = free - #ids
      free_of[line.kind] = free_of[line.kind] - #ids
    else
      idle_turns = idle_turns + 1
      call('ZREM', ring, tenant)
      if turn.more then
        aside[#aside + 1] = first[2]
        aside[#aside + 1] = tenant
      elseif may_run then
        await_place(queue, tenant, free_of)
      end
    end
  end
  if #aside > 0 then
    bulk('ZADD', ring, aside)
    unfinished = true
  end
  if clock then
    call('SET', key('clock', queue), clock)
    known_clock[queue] = clock
    local pairs_of = {}
    for tenant, vtime in pairs(vtimes) do
      pairs_of[#pairs_of + 1] = tenant
      pairs_of[#pairs_of + 1] = vtime
    end
    bulk('HSET', key('vtime', queue), pairs_of)
  end
  write_rest()
  hand_over(queue, entries)
  return granted
end

local function admit_all()
  for _, queue in ipairs(each_queue()) do admit(queue) end
end
