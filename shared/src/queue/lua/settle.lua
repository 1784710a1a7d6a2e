-- A worker is done with jobs, whatever became of them: their slots are free and the next jobs are
-- admitted in the same breath. Settling a job that another worker has claimed since frees nothing.
-- ARGV[4] = worker, ARGV[5] = queue, ARGV[6..] = ids
local worker, queue = ARGV[4], ARGV[5]
local inflight = key('queue', queue, 'inflight', worker)
local settled = 0
for i = 6, #ARGV do
  local id = ARGV[i]
  local job = info(id)
  call('SREM', inflight, id)
  if job and call('HGET', P .. 'claimed', id) == worker then
    let_go(id, job)
    settled = settled + 1
  end
  call('PUBLISH', P .. 'told', (job and job.tenant or '') .. '\t' .. id)
end
admit(queue)
return settled
