-- The last step of filling an emptied gate: the slots of the jobs that run are back, admission may
-- begin.
-- ARGV[4] = epoch, ARGV[5..] = id, info, worker, end of lease (ms) for each running job
for i = 5, #ARGV, 4 do
  local id, text, worker, until_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  call('HSET', P .. 'jobs', id, text)
  call('HSET', P .. 'claimed', id, claim_of(worker))
  local job = info(id)
  call('ZADD', key('slots', job.tenant), until_ms, id)
  if limits(job.tenant).kinds[job.kind] then call('ZADD', key('slots', job.tenant, job.kind), until_ms, id) end
  call('ZADD', key('admitted', job.queue, job.kind), until_ms, id)
  call('SADD', P .. 'queues', job.queue)
  call('SADD', key('seen', job.queue), job.kind)
  if job.resource ~= '' then call('HSET', key('holders', job.tenant), job.resource, id) end
end
if ARGV[4] ~= '' then
  call('SET', P .. 'epoch', ARGV[4], 'PX', epoch_life)
  admit_all()
end
return 0
