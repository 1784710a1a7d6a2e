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
local fetched, taken, foreign = {}, {}, {}
for i = 7, #ARGV do
  local id = ARGV[i]
  local job = info(id)
  local tenant = ''
  fetched[#fetched + 1] = id
  if epoch and job and job.queue == queue and call('HEXISTS', P .. 'claimed', id) == 0 then
    local until_ms = call('ZSCORE', key('slots', job.tenant), id)
    if until_ms and tonumber(until_ms) > now then
      if can_run[job.kind] then
        local renewed = now + lease
        call('HSET', P .. 'claimed', id, worker)
        call('ZADD', key('slots', job.tenant), renewed, id)
        if limits(job.tenant).kinds[job.kind] then call('ZADD', key('slots', job.tenant, job.kind), renewed, id) end
        call('ZADD', key('admitted', queue, job.kind), renewed, id)
        tenant = job.tenant
        taken[#taken + 1] = id
      else
        foreign[#foreign + 1] = id
        tenant = '-'
      end
    end
  end
  answer[#answer + 1] = tenant
end
forget_ready(queue, taken)
if #fetched > 0 then call('SREM', key('queue', queue, 'inflight', worker), unpack(fetched)) end
hand_over(queue, foreign)
return answer
