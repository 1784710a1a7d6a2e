-- A worker is done with jobs, whatever became of them: their slots are free and the next jobs are
-- admitted in the same breath. Settling a job that another worker has claimed since frees nothing.
-- A job that waits again by its row stands where it stood.
-- ARGV[4] = worker, ARGV[5..] = for each line: queue, tenant, kind, how many of its jobs ran and for how
-- long in all (ms), then ids (a,b) of those without a resource key, of those that may hold one, and of
-- those that wait again
-- Returns how many slots were freed.
local own = claim_of(ARGV[4])
local lines, ids, told, tenants = {}, {}, {}, {}
for i = 5, #ARGV, 8 do
  local line = {queue = ARGV[i], tenant = ARGV[i + 1], kind = ARGV[i + 2], count = tonumber(ARGV[i + 3]), ran = tonumber(ARGV[i + 4])}
  line.plain, line.keyed, line.again = split(ARGV[i + 5]), split(ARGV[i + 6]), split(ARGV[i + 7])
  for list = i + 5, i + 7 do
    if ARGV[list] ~= '' then told[#told + 1] = line.tenant .. '\t' .. ARGV[list] end
  end
  for _, list in ipairs({line.plain, line.keyed, line.again}) do
    for _, id in ipairs(list) do ids[#ids + 1] = id end
  end
  lines[#lines + 1] = line
  tenants[#tenants + 1] = line.tenant
end
learn_limits(tenants)
local holder_of_claim = {}
for i, claim in ipairs(fields('claimed', ids)) do holder_of_claim[ids[i]] = claim end
local function mine(list)
  local kept = {}
  for _, id in ipairs(list) do
    if holder_of_claim[id] == own then kept[#kept + 1] = id end
  end
  return kept
end
local freed, charges, touched = 0, {}, {}
for _, line in ipairs(lines) do
  local plain, keyed, again = mine(line.plain), mine(line.keyed), mine(line.again)
  let_go(line, plain, {})
  let_go(line, keyed, keys_of(keyed, fields('jobs', keyed)))
  give_back(line, again)
  local count = #plain + #keyed + #again
  if count > 0 then
    freed = freed + count
    touched[#touched + 1] = line.tenant
    if line.count > 0 then
      charges[line.queue] = charges[line.queue] or {}
      table.insert(charges[line.queue], {line = line, ran = line.ran, count = line.count})
    end
  end
end
for queue, some in pairs(charges) do charge(queue, some) end
enter_rings(touched)
call('PUBLISH', P .. 'told', table.concat(told, '\n'))
admit_all()
return freed
