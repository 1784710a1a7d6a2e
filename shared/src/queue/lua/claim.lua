-- A worker takes ids that it fetched from the ready list. Only a live slot that nobody has claimed
-- may be claimed; anything else is a stale copy and is dropped. A job of a kind that the worker
-- cannot run goes on to the next worker.
-- ARGV[4] = worker, ARGV[5] = queue, ARGV[6] = kinds (a,b), ARGV[7..] = ids
-- Returns the epoch, then for each id its tenant, '' where it was a stale copy, or '-' where the job
-- went on to another worker.
local worker, queue = ARGV[4], ARGV[5]
local can_run = {}
for kind in string.gmatch(ARGV[6], '[^,]+') do can_run[kind] = true end
local epoch = call('GET', P .. 'epoch')
local answer = {epoch or ''}
local ids = {}
for i = 7, #ARGV do ids[#ids + 1] = ARGV[i] end
local texts, holders = fields('jobs', ids), fields('claimed', ids)
local taken, claims, foreign, renewals = {}, {}, {}, {}
local function renew(zset, id)
  local list = renewals[zset] or {}
  renewals[zset] = list
  list[#list + 1] = now + lease
  list[#list + 1] = id
end
for i, id in ipairs(ids) do
  local job = parse(texts[i])
  local tenant = ''
  if epoch and job and job.queue == queue and not holders[i] then
    local until_ms = tonumber(call('ZSCORE', key('slots', job.tenant), id) or '0')
    if until_ms > now then
      if can_run[job.kind] then
        renew(key('slots', job.tenant), id)
        if limits(job.tenant).kinds[job.kind] then renew(key('slots', job.tenant, job.kind), id) end
        renew(key('admitted', queue, job.kind), id)
        tenant = job.tenant
        taken[#taken + 1] = id
        claims[#claims + 1] = id
        claims[#claims + 1] = claim_of(worker)
      else
        foreign[#foreign + 1] = id
        tenant = '-'
      end
    end
  end
  answer[#answer + 1] = tenant
end
if #taken > 0 then bulk('HSET', P .. 'claimed', claims) end
for zset, members in pairs(renewals) do bulk('ZADD', zset, members) end
forget_ready(queue, taken)
if #ids > 0 then bulk('SREM', key('queue', queue, 'inflight', worker), ids) end
hand_over(queue, foreign)
return answer
