-- A worker is done with jobs, whatever became of them: their slots are free and the next jobs are
-- admitted in the same breath. Settling a job that another worker has claimed since frees nothing.
-- ARGV[4] = worker, ARGV[5..] = id, milliseconds that it ran ('' = it did not) for
-- each job
-- Returns how many slots were freed.
local worker = ARGV[4]
local tenants, told = {}, {}
local settled, charged = 0, false
for i = 5, #ARGV, 2 do
  local id, ran_ms = ARGV[i], tonumber(ARGV[i + 1])
  local job = info(id)
  if job and call('HGET', P .. 'claimed', id) == worker then
    let_go(id, job)
    if ran_ms then
      charge(job, ran_ms)
      charged = true
    end
    tenants[job.tenant] = true
    settled = settled + 1
  end
  told[#told + 1] = (job and job.tenant or '') .. '\t' .. id
end
if charged then remember_costs() end
for tenant in pairs(tenants) do enter_rings(tenant) end
call('PUBLISH', P .. 'told', table.concat(told, '\n'))
admit_all()
return settled
