-- The pauses in force, all of them. Where one is gone or over, tenants may have been waiting for it. A
-- set of an older version than the known one was read before that and is left out.
-- ARGV[4] = version, ARGV[5..] = tenant \t kind (empty = every one), end (ms) for each
if tonumber(call('GET', P .. 'switches') or '0') > tonumber(ARGV[4]) then return 0 end
call('SET', P .. 'switches', ARGV[4])
local fresh = {}
for i = 5, #ARGV, 2 do
  local scope, until_ms = ARGV[i], ARGV[i + 1]
  -- Of several for one scope the last to end counts.
  if not fresh[scope] or tonumber(until_ms) > tonumber(fresh[scope]) then fresh[scope] = until_ms end
end
local before = call('HGETALL', P .. 'paused')
local known, lifted, gone, new = {}, false, {}, {}
for i = 1, #before, 2 do
  known[before[i]] = before[i + 1]
  if not fresh[before[i]] then
    lifted = true
    gone[#gone + 1] = before[i]
  end
end
for scope, until_ms in pairs(fresh) do
  if known[scope] ~= until_ms then
    new[#new + 1] = scope
    new[#new + 1] = until_ms
  end
end
bulk('HDEL', P .. 'paused', gone)
bulk('HSET', P .. 'paused', new)
if lifted then
  enter_all()
  admit_all()
end
return 0
