-- The pauses in force, all of them. Where one is gone or over, tenants may have been waiting for it.
-- ARGV[4..] = tenant \t kind (empty = every one), end (ms) for each
local fresh = {}
for i = 4, #ARGV, 2 do
  local scope, until_ms = ARGV[i], ARGV[i + 1]
  -- Of several for one scope the last to end counts.
  if not fresh[scope] or tonumber(until_ms) > tonumber(fresh[scope]) then fresh[scope] = until_ms end
end
local before = call('HGETALL', P .. 'paused')
local known, lifted, changed = {}, false, false
for i = 1, #before, 2 do
  known[before[i]] = before[i + 1]
  if not fresh[before[i]] then lifted = true end
  if fresh[before[i]] ~= before[i + 1] then changed = true end
end
for scope in pairs(fresh) do
  if not known[scope] then changed = true end
end
if changed then
  call('DEL', P .. 'paused')
  for scope, until_ms in pairs(fresh) do call('HSET', P .. 'paused', scope, until_ms) end
  known_pauses = nil
end
if lifted then
  enter_all()
  admit_all()
end
return 0
