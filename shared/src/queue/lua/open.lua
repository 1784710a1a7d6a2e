-- The last step of filling an emptied gate: the slots of the jobs that run are back, admission may
-- begin.
-- ARGV[4] = epoch, ARGV[5..] = id, info, worker, end of lease (ms) for each running job
for i = 5, #ARGV, 4 do
  local id, text, worker, until_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  call('HSET', P .. 'jobs', id, text)
  call('HSET', P .. 'claimed', id, worker)
  local job = info(id)
  call('ZADD', key('slots', job.tenant), until_ms, id)
  call('ZADD', key('admitted', job.queue), until_ms, id)
  call('SADD', P .. 'queues', job.queue)
  if job.resource ~= '' then call('HSET', key('holders', job.tenant), job.resource, id) end
end
if ARGV[4] ~= '' then
  call('SET', P .. 'epoch', ARGV[4], 'PX', epoch_life)
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do admit(queue) end
end
return 0
