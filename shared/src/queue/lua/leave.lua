-- A worker goes. Ids that it fetched and never claimed are forgotten, to be offered again.
-- ARGV[4] = worker, ARGV[5] = queue
local worker, queue = ARGV[4], ARGV[5]
call('ZREM', key('workers', queue), worker)
call('HDEL', key('capacity', queue), worker)
call('ZREM', key('queue', queue, 'workers'), worker)
local inflight = key('queue', queue, 'inflight', worker)
for _, id in ipairs(call('SMEMBERS', inflight)) do
  local job = info(id)
  if job and call('HEXISTS', P .. 'claimed', id) == 0 then let_go(id, job) end
end
call('DEL', inflight, key('queue', queue, 'workers', 'metadata', worker))
return 0
