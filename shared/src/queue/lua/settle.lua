-- A worker is done with jobs, whatever became of them: their slots are free and the next jobs are
-- admitted in the same breath. Settling a job that another worker has claimed since frees nothing.
-- A job that waits again by its row stands where it stood.
-- ARGV[4] = worker, ARGV[5..] = for each line: queue, tenant, kind, how many of its jobs ran and for how
-- long in all (ms), then ids (a,b) of those without a resource key, of those that may hold one, and of
-- those that wait again
-- Returns how many slots were freed.
local own = claim_of(ARGV[4])
local function mine(ids)
  local holders, kept = fields('claimed', ids), {}
  for i, id in ipairs(ids) do
    if holders[i] == own then kept[#kept + 1] = id end
  end
  return kept
end
local function keys_of(ids)
  local keys = {}
  for i, text in ipairs(fields('jobs', ids)) do
    local resource = resource_of(text)
    if resource ~= '' then keys[ids[i]] = resource end
  end
  return keys
end
local freed, told, tenants = 0, {}, {}
for i = 5, #ARGV, 8 do
  local line = {queue = ARGV[i], tenant = ARGV[i + 1], kind = ARGV[i + 2]}
  local plain, keyed, again = mine(split(ARGV[i + 5])), mine(split(ARGV[i + 6])), mine(split(ARGV[i + 7]))
  let_go(line, plain, {})
  let_go(line, keyed, keys_of(keyed))
  give_back(line, again)
  local count = #plain + #keyed + #again
  if count > 0 then
    freed = freed + count
    tenants[line.tenant] = true
    local ran = tonumber(ARGV[i + 3])
    if ran > 0 then charge(line, tonumber(ARGV[i + 4]), ran) end
  end
  for list = i + 5, i + 7 do
    if ARGV[list] ~= '' then told[#told + 1] = line.tenant .. '\t' .. ARGV[list] end
  end
end
remember_costs()
for tenant in pairs(tenants) do enter_rings(tenant) end
call('PUBLISH', P .. 'told', table.concat(told, '\n'))
admit_all()
return freed
