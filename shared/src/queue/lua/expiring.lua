-- Slots that end soon unless somebody renews them.
-- ARGV[4] = queue, ARGV[5] = until when (ms), ARGV[6] = most ids
local found = {}
for kind in pairs(kinds_of(ARGV[4])) do
  local left = tonumber(ARGV[6]) - #found
  if left > 0 then
    local late = call('ZRANGEBYSCORE', key('admitted', ARGV[4], kind), '-inf', ARGV[5], 'LIMIT', 0, left)
    for _, id in ipairs(late) do found[#found + 1] = id end
  end
end
return found
