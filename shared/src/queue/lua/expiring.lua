-- Slots that end soon unless somebody renews them, the first to end first within each kind.
-- ARGV[4] = queue, ARGV[5] = until when (ms), ARGV[6] = most ids, ARGV[7] = how many to pass over
local found, skip = {}, tonumber(ARGV[7])
for kind in pairs(kinds_of(ARGV[4])) do
  local left = tonumber(ARGV[6]) - #found
  if left > 0 then
    local admitted = key('admitted', ARGV[4], kind)
    local late = call('ZRANGEBYSCORE', admitted, '-inf', ARGV[5], 'LIMIT', skip, left)
    for _, id in ipairs(late) do found[#found + 1] = id end
    if skip > 0 then skip = math.max(0, skip - call('ZCOUNT', admitted, '-inf', ARGV[5])) end
  end
end
return found
