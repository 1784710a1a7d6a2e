-- What every script of the gate shares. A script is sent as this text, `waiting.lua`, `ready.lua`,
-- `admission.lua`, `release.lua` and its own, which is a function: `scripts.rs` puts them together.
--
-- Keys, each behind the shard's prefix P. No name in them can hold a colon.
--   epoch              the epoch under which admission is open; missing = Redis was emptied, or
--                      nobody reached it for a lease. It lives by the heartbeats: after an outage
--                      that was longer than the leases, slots may have lapsed whose jobs still run,
--                      so admission stays closed until the gate is filled anew from the rows
--   server             the Redis that was opened under this epoch, by the id of its run. One that
--                      started anew may hold an older state; the scheduler closes it
--   layout             the arrangement of keys under which it was opened, see `LAYOUT`
--   raised             the epoch of the newest refill that has begun; an older one may write nothing
--   jobs               HASH id -> tenant \t queue \t kind \t score \t resource key: what the gate knows
--
--   what waits
--   queues             SET of queue names
--   waits:{queue}      HASH tenant -> kind,kind: kinds of which it has waiting jobs; no field = none
--   seen:{queue}       SET of kinds that the queue ever had
--   wait:{queue}:{tenant}:{kind}  ZSET id -> score, lowest first; the id of a job that has a resource key
--                      is followed by an asterisk
--   parked:{tenant}:{key}         ZSET id -> score, behind the job that holds the resource key
--   held:{queue}:{tenant}         ZSET id -> score, all that is parked of a tenant, to be counted
--
--   whose turn it is
--   ring:{queue}       ZSET tenant -> virtual time (µs, whole numbers, which Redis reads and writes faster
--                      than fractions); only tenants that may run something
--   vtime:{queue}      HASH tenant -> virtual time, kept while a tenant is out of the ring
--   clock:{queue}      virtual time of the last turn
--   awaiting:{queue}:{kind}  SET of tenants that left the ring until a worker for the kind is free
--   entering           HASH queue -> how far all waiting tenants have been brought back to its ring
--   cost               HASH tenant \t kind -> milliseconds that such a job lately took; without a
--                      tenant: of the kind over all tenants
--
--   what runs
--   slots:{tenant}         ZSET id -> end of lease (ms); live members are the tenant's running jobs
--   slots:{tenant}:{kind}  the same for one kind, where the tenant has a limit for it
--   admitted:{queue}:{kind}  ZSET id -> end of lease (ms); live members fill the fleet
--   holders:{tenant}       HASH resource key -> id
--   claimed                HASH id -> worker, padded: see `claim_of`
--
--   rules
--   limits             HASH tenant -> max:weight:version, then :kind=max for each kind with a limit
--   paused             HASH tenant \t kind -> end of the pause (ms); an empty name = every one
--   switches           version of the set of switches that `paused` was made from
--
--   the fleet
--   workers:{queue}    ZSET worker -> end of its registration (ms)
--   members:{queue}    HASH worker -> capacity \t kind,kind
--   fleet:{queue}      HASH kind -> jobs of it that the live workers can hold; '' = of all kinds
--   queue:{queue}:...  apalis-redis' own keys: active, data, meta:{id}, inflight:{worker}, workers
--
-- A line is what a tenant has of one kind in one queue. Functions about several jobs take those of one
-- line: `line` has its queue, tenant and kind (so a job's info is one), `ids` its jobs, `keys` the
-- resource key of each that has one. What is the same for all is asked for and written once.
--
-- ARGV[1] = P, ARGV[2] = now (ms), ARGV[3] = lease of an admission (ms)
local P = ARGV[1]
local now = tonumber(ARGV[2])
local lease = tonumber(ARGV[3])
local epoch_life = lease
local call = redis.call
-- The end of a slot that is given now, as text: a number would be printed anew for each job.
local slot_end = string.format('%.0f', now + lease)

local function key(name, a, b, c)
  if c then return P .. name .. ':' .. a .. ':' .. b .. ':' .. c end
  if b then return P .. name .. ':' .. a .. ':' .. b end
  return P .. name .. ':' .. a
end

-- A command with many arguments, in parts that Lua can pass.
local function bulk(command, name, items)
  for first = 1, #items, 2000 do
    call(command, name, unpack(items, first, math.min(first + 1999, #items)))
  end
end

-- The table under a name, made where there is none.
local function inner(tables, name)
  tables[name] = tables[name] or {}
  return tables[name]
end

-- Writes that nobody reads again in this script, by command and key: they go out together at its end, and
-- before admission.
local gathered, gathered_fields = {}, {}
local function later(command, name, items)
  local all = inner(inner(gathered, command), name)
  for _, item in ipairs(items) do all[#all + 1] = item end
end

-- The same for a field of a hash, of which the last word counts; false = it goes.
local function later_field(name, field, value)
  inner(gathered_fields, name)[field] = value
end

local function write_rest()
  for command, of_command in pairs(gathered) do
    for name, items in pairs(of_command) do bulk(command, name, items) end
  end
  for name, values in pairs(gathered_fields) do
    local set, gone = {}, {}
    for field, value in pairs(values) do
      if value then
        set[#set + 1] = field
        set[#set + 1] = value
      else
        gone[#gone + 1] = field
      end
    end
    bulk('HSET', name, set)
    bulk('HDEL', name, gone)
  end
  gathered, gathered_fields = {}, {}
end

-- Fields of a hash, as many answers as ids; false where there is none.
local function fields(name, ids)
  local found = {}
  for first = 1, #ids, 2000 do
    local last = math.min(first + 1999, #ids)
    local some = call('HMGET', P .. name, unpack(ids, first, last))
    for i = 1, last - first + 1 do found[first + i - 1] = some[i] end
  end
  return found
end

-- Scores in a sorted set, in the same way.
local function scores(zset, ids)
  local found = {}
  for first = 1, #ids, 2000 do
    local last = math.min(first + 1999, #ids)
    local some = call('ZMSCORE', zset, unpack(ids, first, last))
    for i = 1, last - first + 1 do found[first + i - 1] = some[i] and tonumber(some[i]) end
  end
  return found
end

-- The items of a text, which commas part.
local function split(text)
  if text == '' then return {} end
  -- With many tenants mostly one.
  if not string.find(text, ',', 1, true) then return {text} end
  local items = {}
  for item in string.gmatch(text, '[^,]+') do items[#items + 1] = item end
  return items
end

-- Of a table that is filled as it is asked, what is not there yet.
local function missing_in(known, names)
  local unknown = {}
  for _, name in ipairs(names) do
    if known[name] == nil then unknown[#unknown + 1] = name end
  end
  return unknown
end

local function parse(text)
  if not text then return nil end
  local tenant, queue, kind, score, resource = string.match(text, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$')
  return {tenant = tenant, queue = queue, kind = kind, score = score, resource = resource}
end

-- Redis keeps a hash of short values as a list that it searches from end to end. A value longer than
-- 64 bytes makes it a table, in which a worker with hundreds of jobs finds each at once.
local PADDING = string.rep(' ', 65)

local function claim_of(worker)
  return worker .. PADDING
end

local function claimant(claim)
  return claim and string.sub(claim, 1, #claim - #PADDING)
end

local function info(id)
  return parse(call('HGET', P .. 'jobs', id))
end

-- The resource key in a job's info, which ends with it; '' = it has none. Most have none, which the last
-- character tells.
local TAB = string.byte('\t')
local function resource_of(text)
  if not text or string.byte(text, -1) == TAB then return '' end
  return parse(text).resource
end

-- A job by itself, as the functions about several take them.
local function alone(id, job)
  return job, {id}, {[id] = job.resource ~= '' and job.resource or nil}
end

local function live(zset)
  return call('ZCOUNT', zset, '(' .. now, '+inf')
end

-- How many jobs a tenant runs, in all and of one kind: counted once a script and kept in step.
local known_running = {}
local function running(tenant, kind)
  local name = kind and (tenant .. ':' .. kind) or tenant
  local count = known_running[name]
  if not count then
    count = live(P .. 'slots:' .. name)
    known_running[name] = count
  end
  return count
end

-- The same of many tenants, for those of which none runs a job: that is asked at once.
local function learn_running(tenants)
  local unknown, names = missing_in(known_running, tenants), {}
  if #unknown < 2 then return end
  for i, tenant in ipairs(unknown) do names[i] = P .. 'slots:' .. tenant end
  if call('EXISTS', unpack(names)) > 0 then return end
  for _, tenant in ipairs(unknown) do known_running[tenant] = 0 end
end

-- A tenant's limits: most jobs, weight, the version of its row, and the most of those kinds that have a
-- limit. A tenant that nobody has announced yet runs nothing. Many have the same text.
local limits_in = {}
local function read_limits(text)
  if limits_in[text] then return limits_in[text] end
  local max, weight, rest = string.match(text, '^(%d+):(%d+)(.*)$')
  local version = string.match(rest, '^:(%d+)$') or string.match(rest, '^:(%d+):')
  local found = {max = tonumber(max), weight = tonumber(weight), version = tonumber(version or '0'), kinds = {}}
  for kind, most in string.gmatch(rest, ':([^:=]+)=(%d+)') do found.kinds[kind] = tonumber(most) end
  limits_in[text] = found
  return found
end

local known_limits = {}
local function limits(tenant)
  local found = known_limits[tenant]
  if found then return found end
  found = read_limits(call('HGET', P .. 'limits', tenant) or '0:1')
  known_limits[tenant] = found
  return found
end

-- The same for many, asked for at once.
local function learn_limits(tenants)
  local unknown = missing_in(known_limits, tenants)
  for i, text in ipairs(fields('limits', unknown)) do known_limits[unknown[i]] = read_limits(text or '0:1') end
end

-- Whether a pause is on, read once a script for each scope that is asked about. Mostly there is none at
-- all, which costs one look.
local any_pause, known_pauses = nil, {}
local function pause_is_on(scope)
  if any_pause == nil then any_pause = call('EXISTS', P .. 'paused') == 1 end
  if not any_pause then return false end
  if known_pauses[scope] == nil then
    known_pauses[scope] = tonumber(call('HGET', P .. 'paused', scope) or '0') > now
  end
  return known_pauses[scope]
end

local function paused(tenant, kind)
  return pause_is_on(tenant .. '\t') or kind ~= '' and (pause_is_on('\t' .. kind) or pause_is_on(tenant .. '\t' .. kind))
end

local known_fleet = {}
local function fleet(queue)
  local found = known_fleet[queue]
  if found then return found end
  found = {}
  local all = call('HGETALL', key('fleet', queue))
  for i = 1, #all, 2 do found[all[i]] = tonumber(all[i + 1]) end
  known_fleet[queue] = found
  return found
end

-- Kinds that may have running jobs, whether or not a worker for them is left.
local known_kinds = {}
local function kinds_of(queue)
  local found = known_kinds[queue]
  if found then return found end
  found = {}
  for _, kind in ipairs(call('SMEMBERS', key('seen', queue))) do found[kind] = true end
  known_kinds[queue] = found
  return found
end

local function note_kind(queue, kind)
  if kinds_of(queue)[kind] then return end
  call('SADD', key('seen', queue), kind)
  kinds_of(queue)[kind] = true
end

local known_queues = nil
local function each_queue()
  known_queues = known_queues or call('SMEMBERS', P .. 'queues')
  return known_queues
end

local function note_queue(queue)
  for _, known in ipairs(each_queue()) do
    if known == queue then return end
  end
  call('SADD', P .. 'queues', queue)
  known_queues[#known_queues + 1] = queue
end

-- Rises with each change of what the keys above mean. A gate that was filled under another layout is filled
-- anew by the first scheduler that knows this one.
local LAYOUT = '2'

-- Whether what is here was written under this layout, for the run of the server that answers. Where a
-- login may not ask for the run, nobody can tell runs apart.
local function is_as_opened()
  if call('GET', P .. 'layout') ~= LAYOUT then return false end
  local opened, info_text = call('GET', P .. 'server') or '', redis.pcall('INFO', 'server')
  local answers = type(info_text) == 'string' and string.match(info_text, 'run_id:(%w+)') or ''
  return opened == '' or answers == '' or opened == answers
end
