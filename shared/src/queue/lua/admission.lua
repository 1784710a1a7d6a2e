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

-- Puts tenants where their next turn is due: those that are not in the ring, have something to run and may
-- run it. One that was away does not bring back credit for the time it had nothing to do.
local known_clock = {}
local function clock_of(queue)
  known_clock[queue] = known_clock[queue] or tonumber(call('GET', key('clock', queue)) or '0')
  return known_clock[queue]
end

local function enter_ring(queue, tenants)
  local missing, ring = {}, key('ring', queue)
  for i, time in ipairs(scores(ring, tenants)) do
    if not time then missing[#missing + 1] = tenants[i] end
  end
  learn_waits(queue, missing)
  local waiting = {}
  for _, tenant in ipairs(missing) do
    if #waiting_kinds(queue, tenant) > 0 then waiting[#waiting + 1] = tenant end
  end
  learn_limits(waiting)
  learn_running(waiting)
  local entering = {}
  for _, tenant in ipairs(waiting) do
    if not obstacle_of_tenant(tenant) then entering[#entering + 1] = tenant end
  end
  local places = {}
  for i, own in ipairs(fields('vtime:' .. queue, entering)) do
    places[#places + 1] = math.max(clock_of(queue), tonumber(own or '0'))
    places[#places + 1] = entering[i]
  end
  bulk('ZADD', ring, places)
end

local function enter_rings(tenants)
  for _, queue in ipairs(each_queue()) do enter_ring(queue, tenants) end
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
  local page = call('HSCAN', key('waits', queue), cursor, 'COUNT', TENANTS_AT_ONCE)
  local tenants = {}
  for i = 1, #page[2], 2 do tenants[#tenants + 1] = page[2][i] end
  enter_ring(queue, tenants)
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
-- In a millisecond: the unit of virtual time.
local MICROSECONDS = 1000

-- How long a job is expected to run (ms): as long as such jobs lately took, or a whole turn where there
-- were none. By kind, then by tenant; the tenant without a name stands for all.
local ALL = ''
local known_cost = {}

local function cost_name(tenant, kind)
  return tenant .. '\t' .. kind
end

local function learn_costs(kind, tenants)
  local known = inner(known_cost, kind)
  local unknown, names = missing_in(known, tenants), {}
  for i, tenant in ipairs(unknown) do names[i] = cost_name(tenant, kind) end
  for i, cost in ipairs(fields('cost', names)) do known[unknown[i]] = tonumber(cost or '') or false end
end

-- nil = neither the tenant nor anybody else had such a job yet.
local function known_cost_of(tenant, kind)
  local known = inner(known_cost, kind)
  if known[tenant] == nil or known[ALL] == nil then learn_costs(kind, {tenant, ALL}) end
  return known[tenant] or known[ALL] or nil
end

local function expected_cost(tenant, kind)
  return known_cost_of(tenant, kind) or TURN
end

-- What a job adds to its tenant's virtual time when it is admitted. `charge` puts it right when it is known
-- how long it ran.
local function price(tenant, kind)
  local expected = math.min(math.max(1, expected_cost(tenant, kind)) / limits(tenant).weight, LONGEST_DEBT)
  return math.ceil(expected * MICROSECONDS)
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

-- The kind of the tenant's next job among those that may run: highest priority, then earliest. Also
-- answers whether it is the only one.
local function next_kind(queue, tenant, free)
  local best, best_score, only = nil, nil, true
  local kinds = waiting_kinds(queue, tenant)
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
        note_empty(queue, tenant, kind)
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

-- Infos of those waiting jobs that have a resource key, by the names under which they wait.
local function infos_of_keyed(names)
  local keyed, ids, infos = {}, {}, {}
  for _, name in ipairs(names) do
    if is_keyed(name) then
      keyed[#keyed + 1] = name
      ids[#ids + 1] = id_of(name)
    end
  end
  for i, text in ipairs(fields('jobs', ids)) do infos[keyed[i]] = parse(text) end
  return infos
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
    local list = key('wait', queue, tenant, kind)
    local names = call('ZRANGE', list, 0, look - 1)
    local taken, keys, infos, passed = {}, {}, nil, 0
    for i, name in ipairs(names) do
      if #taken == count then break end
      passed = i
      if not is_keyed(name) then
        taken[#taken + 1] = name
      else
        infos = infos or infos_of_keyed(names)
        local id, job = id_of(name), infos[name]
        if not job then
          -- The gate does not know its key any more: if its row waits, the sweeper offers it.
        elseif held[job.resource] or holder_of(tenant, job.resource, id) then
          held[job.resource] = true
          park(id, job)
          parked_here = parked_here + 1
        else
          held[job.resource] = true
          taken[#taken + 1] = id
          keys[id] = job.resource
        end
      end
    end
    local is_last = false
    if passed == #names and passed < look then
      call('DEL', list)
      is_last = note_empty(queue, tenant, kind)
    else
      call('ZREMRANGEBYRANK', list, 0, passed - 1)
      -- With several kinds turns are short, and would go on to an empty list.
      is_last = not only and passed == #names and note_if_empty(queue, tenant, kind)
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
  for _, kind in ipairs(waiting_kinds(queue, tenant)) do
    if (free[kind] or 0) <= 0 and not obstacle_of_kind(queue, tenant, kind) then
      later('SADD', key('awaiting', queue, kind), {tenant})
    end
  end
end

local function call_back(queue, free)
  local called = {}
  for kind, places in pairs(free) do
    if places > 0 then
      for _, tenant in ipairs(call('SPOP', key('awaiting', queue, kind), math.min(places, 100))) do
        called[#called + 1] = tenant
      end
    end
  end
  enter_ring(queue, called)
end

-- The turns that come next, in their order: the front of the ring, looked at in parts, so that what is to
-- be known of each tenant is asked for all of a part at once. What becomes of a turn is written when the
-- next part is read, and at the end.
local LOOK_AHEAD = 50

local function front_of(queue)
  return {queue = queue, ring = key('ring', queue), tenants = {}, times = {}, at = 1, moved = {}}
end

local function write_front(front)
  local places, gone = {}, {}
  for tenant, time in pairs(front.moved) do
    if time then
      places[#places + 1] = time
      places[#places + 1] = tenant
    else
      gone[#gone + 1] = tenant
    end
  end
  bulk('ZADD', front.ring, places)
  bulk('ZREM', front.ring, gone)
  front.moved = {}
end

local function look_ahead(front, places)
  write_front(front)
  -- A turn takes a place at least, and of two it is known whether somebody else waits.
  local most = math.max(2, math.min(LOOK_AHEAD, places))
  local found = call('ZRANGE', front.ring, 0, most - 1, 'WITHSCORES')
  front.tenants, front.times, front.at = {}, {}, 1
  for i = 1, #found, 2 do
    front.tenants[#front.tenants + 1] = found[i]
    front.times[#front.times + 1] = tonumber(found[i + 1])
  end
  front.is_all = #front.tenants < most
  learn_limits(front.tenants)
  learn_running(front.tenants)
  learn_waits(front.queue, front.tenants)
  local having = {}
  for _, tenant in ipairs(front.tenants) do
    for _, kind in ipairs(waiting_kinds(front.queue, tenant)) do
      having[kind] = having[kind] or {ALL}
      table.insert(having[kind], tenant)
    end
  end
  for kind, tenants in pairs(having) do learn_costs(kind, tenants) end
end

-- Whose turn it is, when it was due, and whether anybody else waits for one; nil = nobody waits.
local function next_turn(front, places)
  if front.at > #front.tenants and not front.is_all then look_ahead(front, places) end
  local at = front.at
  front.at = at + 1
  return front.tenants[at], front.times[at], at < #front.tenants or not front.is_all
end

-- When the tenant's next turn is due, if it has one; nil = it leaves the ring.
local function put_turn(front, tenant, time)
  front.moved[tenant] = time or false
  if not time then return end
  local last = #front.tenants
  -- Behind what was looked at there may be others that come first.
  if not front.is_all and time >= front.times[last] then return end
  local at = last + 1
  while at > front.at and front.times[at - 1] > time do at = at - 1 end
  table.insert(front.tenants, at, tenant)
  table.insert(front.times, at, time)
end

-- Takes turns among the tenants of a queue until the fleet is full or nobody may run more.
local function admit(queue)
  write_rest()
  if not call('GET', P .. 'epoch') then return 0 end
  local free, free_of = room(queue)
  if free <= 0 then return 0 end
  call_back(queue, free_of)
  local front, most = front_of(queue), most_in_entry(queue)
  local entries, granted, idle_turns, clock = {}, 0, 0, nil
  local aside = {}
  while free > 0 do
    if idle_turns >= IDLE_TURNS then
      unfinished = true
      break
    end
    local tenant, due, others = next_turn(front, free)
    if not tenant then break end
    local may_run = not obstacle_of_tenant(tenant)
    local turn = may_run and take_turn(queue, tenant, free_of, free, others) or {}
    if turn.line then
      local line, ids = turn.line, turn.ids
      grant(line, ids, turn.keys)
      pack(entries, line, ids, expected_cost(tenant, line.kind), most)
      granted = granted + #ids
      clock = due
      local after = due + #ids * price(tenant, line.kind)
      later_field(key('vtime', queue), tenant, after)
      put_turn(front, tenant, not turn.is_last and after or nil)
      free = free - #ids
      free_of[line.kind] = free_of[line.kind] - #ids
    else
      idle_turns = idle_turns + 1
      put_turn(front, tenant, nil)
      if turn.more then
        aside[#aside + 1] = due
        aside[#aside + 1] = tenant
        unfinished = true
      elseif may_run then
        await_place(queue, tenant, free_of)
      end
    end
  end
  write_front(front)
  bulk('ZADD', front.ring, aside)
  if clock then
    call('SET', key('clock', queue), clock)
    known_clock[queue] = clock
  end
  write_rest()
  hand_over(queue, entries)
  return granted
end

local function admit_all()
  for _, queue in ipairs(each_queue()) do admit(queue) end
end
