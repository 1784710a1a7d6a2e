-- What waits and runs, by tenant.
-- ARGV[4] = queue, ARGV[5..] = tenants
-- Returns the tenant, waiting, running and the due time (ms) of the longest waiting, for each.
local queue = ARGV[4]
local answer = {}
for i = 5, #ARGV do
  local tenant = ARGV[i]
  local waiting, oldest = 0, ''
  for _, kind in ipairs(call('SMEMBERS', key('kinds', queue, tenant))) do
    local list = key('wait', queue, tenant, kind)
    waiting = waiting + call('ZCARD', list)
    local head = call('ZRANGE', list, 0, 0, 'WITHSCORES')
    local due = head[2] and tonumber(head[2]) % 100000000000000
    if due and (oldest == '' or due < oldest) then oldest = due end
  end
  answer[#answer + 1] = {tenant, waiting, live(key('slots', tenant)), tostring(oldest)}
end
return answer
