-- What waits and runs, by tenant. What is parked behind a resource key waits too.
-- ARGV[4] = queue, ARGV[5..] = tenants
-- Returns the tenant, waiting, running and the due time (ms) of what has been due longest, for each.
local queue = ARGV[4]
-- Steps between two priorities in a score; within one priority it is the due time.
local STEP = 100000000000000
local function longest_due(list)
  local oldest = nil
  for behind = 0, 9 do
    local first = call('ZRANGEBYSCORE', list, behind * STEP, behind * STEP + STEP - 1, 'WITHSCORES', 'LIMIT', 0, 1)
    local due = first[2] and tonumber(first[2]) % STEP
    if due and (not oldest or due < oldest) then oldest = due end
  end
  return oldest
end
local answer = {}
for i = 5, #ARGV do
  local tenant = ARGV[i]
  local lists = {key('held', queue, tenant)}
  for _, kind in ipairs(waiting_kinds(queue, tenant)) do
    lists[#lists + 1] = key('wait', queue, tenant, kind)
  end
  local waiting, oldest = 0, nil
  for _, list in ipairs(lists) do
    local count = call('ZCARD', list)
    local due = count > 0 and longest_due(list)
    waiting = waiting + count
    if due and (not oldest or due < oldest) then oldest = due end
  end
  answer[#answer + 1] = {tenant, waiting, live(key('slots', tenant)), oldest and string.format('%.0f', oldest) or ''}
end
return answer
