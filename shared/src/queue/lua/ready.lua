-- The way from admission to a worker: entries of apalis-redis' ready list.

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

-- Puts granted jobs into entries. Each is expected to take `cost` (ms).
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
