-- Limits of tenants, as their rows have them. Lowering one ends nothing: admission waits until the
-- tenant is below it again. A kind that gets a limit has its running jobs counted from here on. Limits
-- of an older version than the known ones were read before those and are left out.
-- ARGV[4..] = tenant, "max:weight:version:kind=max..." for each tenant
local function count_kind(tenant, kind)
  local slots = call('ZRANGE', key('slots', tenant), 0, -1, 'WITHSCORES')
  for i = 1, #slots, 2 do
    local job = info(slots[i])
    if job and job.kind == kind then call('ZADD', key('slots', tenant, kind), slots[i + 1], slots[i]) end
  end
end

local changed, names = {}, {}
for i = 4, #ARGV, 2 do names[#names + 1] = ARGV[i] end
local known = fields('limits', names)
for n, tenant in ipairs(names) do
  local text = ARGV[3 + n * 2]
  if known[n] ~= text and read_limits(known[n] or '0:1').version <= read_limits(text).version then
    local before = limits(tenant)
    call('HSET', P .. 'limits', tenant, text)
    known_limits[tenant] = nil
    for kind in pairs(before.kinds) do
      if not limits(tenant).kinds[kind] then call('DEL', key('slots', tenant, kind)) end
    end
    for kind in pairs(limits(tenant).kinds) do
      if not before.kinds[kind] then count_kind(tenant, kind) end
    end
    changed[#changed + 1] = tenant
  end
end
enter_rings(changed)
if #changed > 0 then admit_all() end
return 0
