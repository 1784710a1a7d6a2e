-- What stands in the way of a job, by the very predicate of admission.
-- ARGV[4] = id
-- Returns JSON: place (unknown, claimed, admitted, parked, waiting), open (whether admission is), and
-- for a job that waits: obstacles, the tenant's running jobs and limits, jobs and tenants ahead.
local id = ARGV[4]
local answer = {open = call('EXISTS', P .. 'epoch') == 1, obstacles = {}}
local job = info(id)
if not job then
  -- An empty table would read as an object where a list is expected.
  answer.place, answer.obstacles = 'unknown', nil
  return cjson.encode(answer)
end
local holders = call('ZRANGEBYSCORE', key('slots', job.tenant), '(' .. now, '+inf', 'LIMIT', 0, 100)
answer.running, answer.holders = live(key('slots', job.tenant)), holders
answer.max_concurrent = limits(job.tenant).max
answer.kind_max_concurrent = limits(job.tenant).kinds[job.kind]
if answer.kind_max_concurrent then
  local of_kind = key('slots', job.tenant, job.kind)
  answer.kind_running = live(of_kind)
  local kind_holders = call('ZRANGEBYSCORE', of_kind, '(' .. now, '+inf', 'LIMIT', 0, 100)
  if #kind_holders > 0 then answer.kind_holders = kind_holders end
end
if call('HEXISTS', P .. 'claimed', id) == 1 then
  answer.place = 'claimed'
elseif call('ZSCORE', key('admitted', job.queue, job.kind), id) then
  answer.place = 'admitted'
else
  local function obstacle(code)
    if code then answer.obstacles[#answer.obstacles + 1] = code end
  end
  obstacle(obstacle_of_tenant(job.tenant))
  local of_kind = obstacle_of_kind(job.queue, job.tenant, job.kind)
  if of_kind ~= answer.obstacles[1] then obstacle(of_kind) end
  answer.key_holder = holder_of(job.tenant, job.resource, id)
  if answer.key_holder then obstacle('resource_key') end
  local free, free_of = room(job.queue)
  if of_kind ~= 'no_worker' and (free <= 0 or (free_of[job.kind] or 0) <= 0) then obstacle('fleet_busy') end
  local parked = job.resource ~= '' and call('ZRANK', key('parked', job.tenant, job.resource), id)
  answer.place = parked and 'parked' or 'waiting'
  answer.jobs_ahead = parked or 0
  if not parked then
    for _, kind in ipairs(waiting_kinds(job.queue, job.tenant)) do
      local list = key('wait', job.queue, job.tenant, kind)
      if kind == job.kind then
        answer.jobs_ahead = answer.jobs_ahead + (call('ZRANK', list, name_of(id, job.resource)) or 0)
      else
        answer.jobs_ahead = answer.jobs_ahead + call('ZCOUNT', list, '-inf', '(' .. job.score)
      end
    end
  end
  answer.tenants_ahead = call('ZRANK', key('ring', job.queue), job.tenant) or nil
end
if #answer.obstacles == 0 then answer.obstacles = nil end
if #holders == 0 then answer.holders = nil end
return cjson.encode(answer)
