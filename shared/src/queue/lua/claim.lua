-- A worker takes jobs that it fetched from the ready list. Only a live slot that nobody has claimed
-- may be claimed; anything else is a stale copy and is dropped. A job of a kind that the worker
-- cannot run goes on to the next worker.
-- ARGV[4] = worker, ARGV[5] = queue, ARGV[6] = kinds (a,b), ARGV[7] = entries that they came with (a,b),
-- ARGV[8..] = tenant, kind, ids (a,b) for each line
-- Returns the epoch, how long ago the oldest of the slots was given (ms), then for each line a letter for
-- each of its ids: y = claimed, n = a stale copy, o = on its way to another worker.
local worker, queue = ARGV[4], ARGV[5]
local can_run = {}
for _, kind in ipairs(split(ARGV[6])) do can_run[kind] = true end
local epoch = call('GET', P .. 'epoch')
local own = claim_of(worker)
-- A slot that was given a moment ago is not renewed: the lease counts from then.
local FRESH = 0.95
local oldest = now + lease
local lines, all, of_kind = {}, {}, {}
for i = 8, #ARGV, 3 do
  local line = {queue = queue, tenant = ARGV[i], kind = ARGV[i + 1], ids = split(ARGV[i + 2])}
  lines[#lines + 1] = line
  local same = inner(of_kind, line.kind)
  for _, id in ipairs(line.ids) do
    all[#all + 1] = id
    same[#same + 1] = id
  end
end
-- Both halves of a slot end together; the fleet's tells of all tenants at once.
local ends = {}
for kind, ids in pairs(of_kind) do
  for i, until_ms in ipairs(scores(key('admitted', queue, kind), ids)) do ends[ids[i]] = until_ms end
end
local is_taken = {}
for i, claim in ipairs(fields('claimed', all)) do is_taken[all[i]] = claim end
local words, foreign = {}, {}
for _, line in ipairs(lines) do
  local word, live_ones, earliest = {}, {}, now + lease
  for n, id in ipairs(line.ids) do
    if epoch and (ends[id] or 0) > now and not is_taken[id] then
      -- Of two copies of an id the first counts.
      is_taken[id] = own
      word[n] = can_run[line.kind] and 'y' or 'o'
      live_ones[#live_ones + 1] = id
      earliest = math.min(earliest, ends[id])
    else
      word[n] = 'n'
    end
  end
  words[#words + 1] = table.concat(word)
  if #live_ones > 0 and can_run[line.kind] then
    if earliest < now + lease * FRESH then
      give_slots(line, live_ones)
    else
      oldest = math.min(oldest, earliest)
    end
    local claims = {}
    for n, id in ipairs(live_ones) do
      claims[2 * n - 1] = id
      claims[2 * n] = own
    end
    later('HSET', P .. 'claimed', claims)
  else
    pack(foreign, line, live_ones, TURN, 1)
  end
end
local entries = split(ARGV[7])
forget_ready(queue, entries)
if #entries > 0 then bulk('SREM', key('queue', queue, 'inflight', worker), entries) end
hand_over(queue, foreign)
return {epoch or '', now + lease - oldest, unpack(words)}
