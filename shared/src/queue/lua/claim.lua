-- A worker takes ids that it fetched from the ready list. Only a live slot that nobody has claimed
-- may be claimed; anything else is a stale copy and is dropped.
-- ARGV[4] = worker, ARGV[5] = queue, ARGV[6..] = ids
-- Returns the epoch, then the tenant of each id, or '' where the claim was refused.
local worker, queue = ARGV[4], ARGV[5]
local epoch = call('GET', P .. 'epoch')
local answer = {epoch or ''}
for i = 6, #ARGV do
  local id = ARGV[i]
  local job = info(id)
  local taken = ''
  if epoch and job and job.queue == queue and call('HEXISTS', P .. 'claimed', id) == 0 then
    local until_ms = call('ZSCORE', key('slots', job.tenant), id)
    if until_ms and tonumber(until_ms) > now then
      call('HSET', P .. 'claimed', id, worker)
      call('ZADD', key('slots', job.tenant), now + lease, id)
      call('ZADD', key('admitted', queue), now + lease, id)
      taken = job.tenant
    end
  end
  if taken == '' then call('SREM', key('queue', queue, 'inflight', worker), id) end
  answer[#answer + 1] = taken
end
return answer
