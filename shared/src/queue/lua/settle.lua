-- A worker is done with jobs, whatever became of them: their slots are free and the next jobs are
-- admitted in the same breath. Settling a job that another worker has claimed since frees nothing.
-- A job that waits again by its row stands where it stood.
-- ARGV[4] = worker, ARGV[5..] = id, milliseconds that it ran ('' = it did not), with a 'w' behind them
-- if it waits again, for each job
-- Returns how many slots were freed.
local worker = ARGV[4]
local ids, ran, again = {}, {}, {}
for i = 5, #ARGV, 2 do
  local time, waits = string.match(ARGV[i + 1], '^(%d*)(w?)$')
  ids[#ids + 1] = ARGV[i]
  ran[#ran + 1] = tonumber(time) or false
  again[#again + 1] = waits == 'w'
end
local texts, holders = fields('jobs', ids), fields('claimed', ids)
local done, back, told, tenants, charges = {}, {}, {}, {}, {}
for i, id in ipairs(ids) do
  local job = parse(texts[i])
  if job and claimant(holders[i]) == worker then
    local list = again[i] and back or done
    list[#list + 1] = {id = id, job = job}
    tenants[job.tenant] = true
    if ran[i] then
      local name = job.queue .. '\t' .. job.tenant .. '\t' .. job.kind
      local one = charges[name]
      if not one then
        one = {job = job, ran = 0, count = 0}
        charges[name] = one
      end
      one.ran, one.count = one.ran + ran[i], one.count + 1
    end
  end
  told[#told + 1] = (job and job.tenant or '') .. '\t' .. id
end
let_go(done)
give_back(back)
for _, one in pairs(charges) do charge(one.job.queue, one.job.tenant, one.job.kind, one.ran, one.count) end
if next(charges) then remember_costs() end
for tenant in pairs(tenants) do enter_rings(tenant) end
call('PUBLISH', P .. 'told', table.concat(told, '\n'))
admit_all()
return #done + #back
