-- A worker goes.
-- ARGV[4] = worker, ARGV[5] = queue
local worker, queue = ARGV[4], ARGV[5]
leave_fleet(worker, queue)
end_registration(worker, queue)
admit(queue)
return 0
