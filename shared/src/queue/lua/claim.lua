-- A worker takes ids that it fetched from the ready list. Only a live slot that nobody has claimed
-- may be claimed; anything else is a stale copy and is dropped. A job of a kind that the worker
-- cannot run goes on to the next worker.
-- ARGV[4] = worker, ARGV[5] = queue, ARGV[6] = kinds (a,b), ARGV[7] = entries that they came with (a,b),
-- ARGV[8..] = ids
-- Returns the epoch, then for each id its tenant, '' where it was a stale copy, or '-' where the job
-- went on to another worker.
local worker, queue = ARGV[4], ARGV[5]
local can_run = {}
for kind in string.gmatch(ARGV[6], '[^,]+') do can_run[kind] = true end
local epoch = call('GET', P .. 'epoch')
local answer = {epoch or ''}
local ids = {}
for i = 8, #ARGV do ids[#ids + 1] = ARGV[i] end
local texts, holders = fields('jobs', ids), fields('claimed', ids)
local claims, foreign, renewals = {}, {}, {}
local entries = {}
for name in string.gmatch(ARGV[7], '[^,]+') do entries[#entries + 1] = name end
-- The ends of slots, asked for once a tenant.
local ends, of_tenant = {}, {}
for i, id in ipairs(ids) do
  local job = parse(texts[i])
  texts[i] = job
  if epoch and job and job.queue == queue and not holders[i] then
    local some = of_tenant[job.tenant] or {}
    of_tenant[job.tenant] = some
    some[#some + 1] = id
  end
end
for tenant, some in pairs(of_tenant) do
  for first = 1, #some, 2000 do
    local last = math.min(first + 1999, #some)
    local scores = call('ZMSCORE', key('slots', tenant), unpack(some, first, last))
    for i = first, last do ends[some[i]] = tonumber(scores[i - first + 1] or '0') end
  end
end
local function renew(zset, id)
  local list = renewals[zset] or {}
  renewals[zset] = list
  list[#list + 1] = now + lease
  list[#list + 1] = id
end
for i, id in ipairs(ids) do
  local job = texts[i]
  local tenant = ''
  if (ends[id] or 0) > now then
    -- Of two copies of an id the first counts.
    ends[id] = nil
    if can_run[job.kind] then
      renew(key('slots', job.tenant), id)
      if limits(job.tenant).kinds[job.kind] then renew(key('slots', job.tenant, job.kind), id) end
      renew(key('admitted', queue, job.kind), id)
      tenant = job.tenant
      claims[#claims + 1] = id
      claims[#claims + 1] = claim_of(worker)
    else
      foreign[#foreign + 1] = {id}
      tenant = '-'
    end
  end
  answer[#answer + 1] = tenant
end
if #claims > 0 then bulk('HSET', P .. 'claimed', claims) end
for zset, members in pairs(renewals) do bulk('ZADD', zset, members) end
forget_ready(queue, entries)
if #entries > 0 then bulk('SREM', key('queue', queue, 'inflight', worker), entries) end
hand_over(queue, foreign)
return answer
