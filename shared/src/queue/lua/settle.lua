-- A worker is done with jobs, whatever became of them: their slots are free and the next jobs are
-- admitted in the same breath. Settling a job that another worker has claimed since frees nothing.
-- A job that waits again by its row stands where it stood.
-- ARGV[4] = worker, ARGV[5..] = for each line: queue, tenant, kind, how many of its jobs ran and for how
-- long in all (ms), then ids (a,b) of those without a resource key, of those that may hold one, and of
-- those that wait again
-- Returns how many slots were freed.
local own = claim_of(ARGV[4])
local lines, ids, told, tenants = {}, {}, {}, {}
local function ids_of(tenant, text)
  if text == '' then return nil end
  told[#told + 1] = tenant .. '\t' .. text
  local list = split(text)
  for _, id in ipairs(list) do ids[#ids + 1] = id end
  return list
end
for i = 5, #ARGV, 8 do
  local tenant = ARGV[i + 1]
  lines[#lines + 1] = {
    queue = ARGV[i], tenant = tenant, kind = ARGV[i + 2],
    count = tonumber(ARGV[i + 3]), ran = tonumber(ARGV[i + 4]),
    plain = ids_of(tenant, ARGV[i + 5]), keyed = ids_of(tenant, ARGV[i + 6]), again = ids_of(tenant, ARGV[i + 7]),
  }
  tenants[#tenants + 1] = tenant
end
learn_limits(tenants)
local claim_on = {}
for i, claim in ipairs(fields('claimed', ids)) do claim_on[ids[i]] = claim end
local function mine(list)
  local kept = {}
  for _, id in ipairs(list) do
    if claim_on[id] == own then kept[#kept + 1] = id end
  end
  return kept
end
local freed, charges, touched = 0, {}, {}
for _, line in ipairs(lines) do
  local before = freed
  if line.plain then
    local plain = mine(line.plain)
    let_go(line, plain, {})
    freed = freed + #plain
  end
  if line.keyed then
    local keyed = mine(line.keyed)
    let_go(line, keyed, keys_of(keyed, fields('jobs', keyed)))
    freed = freed + #keyed
  end
  if line.again then
    local again = mine(line.again)
    give_back(line, again)
    freed = freed + #again
  end
  if freed > before then
    touched[#touched + 1] = line.tenant
    if line.count > 0 then
      table.insert(inner(charges, line.queue), {line = line, ran = line.ran, count = line.count})
    end
  end
end
for queue, some in pairs(charges) do charge(queue, some) end
enter_rings(touched)
call('PUBLISH', P .. 'told', table.concat(told, '\n'))
admit_all()
return freed
