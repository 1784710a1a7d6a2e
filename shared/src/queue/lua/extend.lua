-- Extends slots whose jobs, by their rows, still run: their worker reaches PostgreSQL but not Redis.
-- ARGV[4..] = id, end of lease (ms) for each job
for i = 4, #ARGV, 2 do
  local id, until_ms = ARGV[i], ARGV[i + 1]
  local job = info(id)
  if job then
    call('ZADD', key('slots', job.tenant), 'XX', 'GT', until_ms, id)
    call('ZADD', key('slots', job.tenant, job.kind), 'XX', 'GT', until_ms, id)
    call('ZADD', key('admitted', job.queue, job.kind), 'XX', 'GT', until_ms, id)
  end
end
return 0
