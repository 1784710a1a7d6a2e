-- A worker goes.
-- ARGV[4] = worker, ARGV[5] = queue
local worker, queue = ARGV[4], ARGV[5]
call('ZREM', key('workers', queue), worker)
call('HDEL', key('capacity', queue), worker)
end_registration(worker, queue)
return 0
