-- The last steps of filling an emptied gate: the slots of the jobs that run are back; then admission
-- begins.
-- ARGV[4] = epoch of the refill, ARGV[5] = 1 to begin, ARGV[6] = the server's run ('' = not known),
-- ARGV[7..] = id, info, worker, end of lease (ms) for each running job
-- Returns 1, or 0 if the refill counts no more: a newer one has begun, or Redis was emptied again.
if call('GET', P .. 'raised') ~= ARGV[4] then return 0 end
for i = 7, #ARGV, 4 do
  local id, text, worker, until_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  call('HSET', P .. 'jobs', id, text)
  call('HSET', P .. 'claimed', id, claim_of(worker))
  local job = info(id)
  call('ZADD', key('slots', job.tenant), until_ms, id)
  if limits(job.tenant).kinds[job.kind] then call('ZADD', key('slots', job.tenant, job.kind), until_ms, id) end
  call('ZADD', key('admitted', job.queue, job.kind), until_ms, id)
  note_queue(job.queue)
  note_kind(job.queue, job.kind)
  if job.resource ~= '' then call('HSET', key('holders', job.tenant), job.resource, id) end
end
if ARGV[5] == '1' then
  call('SET', P .. 'server', ARGV[6])
  call('SET', P .. 'layout', LAYOUT)
  call('SET', P .. 'epoch', ARGV[4], 'PX', epoch_life)
  admit_all()
end
return 1
