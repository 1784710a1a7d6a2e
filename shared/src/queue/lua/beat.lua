-- A worker says that it lives, what it can hold, and which claims it still works on. A claim that
-- Redis forgot is written again, so that the tenant's limit keeps counting it.
-- ARGV[4] = worker, ARGV[5] = queue, ARGV[6] = capacity, ARGV[7] = kinds (a,b), ARGV[8] = registration
-- (ms), ARGV[9..] = id, info for each claim
-- Returns the ids that belong to another worker now.
local worker, queue = ARGV[4], ARGV[5]
note_queue(queue)
call('ZADD', key('workers', queue), now + tonumber(ARGV[8]), worker)
local member = ARGV[6] .. '\t' .. ARGV[7]
if call('HGET', key('members', queue), worker) ~= member or call('EXISTS', key('fleet', queue)) == 0 then
  call('HSET', key('members', queue), worker, member)
  count_fleet(queue)
end
for _, kind in ipairs(split(ARGV[7])) do note_kind(queue, kind) end
-- apalis-redis skips its own heartbeat while a fetched batch is buffered; without this line its
-- orphan scan would take the batch of a busy worker for lost.
if call('EXISTS', key('queue', queue, 'workers')) == 1 then
  call('ZADD', key('queue', queue, 'workers'), 'XX', math.floor(now / 1000), worker)
end
local ids, lost = {}, {}
for i = 9, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
local texts, holders = fields('jobs', ids), fields('claimed', ids)
for n, id in ipairs(ids) do
  local holder = claimant(holders[n])
  if holder and holder ~= worker then
    lost[#lost + 1] = id
  else
    local text = ARGV[8 + n * 2]
    local job = parse(text)
    if not texts[n] then call('HSET', P .. 'jobs', id, text) end
    if not holder then
      call('HSET', P .. 'claimed', id, claim_of(worker))
      remove_waiting(id, job)
      unpark(id, job)
    end
    call('ZADD', key('slots', job.tenant), now + lease, id)
    if limits(job.tenant).kinds[job.kind] then call('ZADD', key('slots', job.tenant, job.kind), now + lease, id) end
    call('ZADD', key('admitted', queue, job.kind), now + lease, id)
    if job.resource ~= '' then call('HSETNX', key('holders', job.tenant), job.resource, id) end
  end
end
known_running = {}
call('PEXPIRE', P .. 'epoch', epoch_life)
admit(queue)
return lost
