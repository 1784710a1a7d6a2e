-- All that is kept of a tenant, when none of its jobs is known any more. Every name is written out: no
-- pattern could take another tenant's.
-- ARGV[4] = tenant
-- Returns how many of its jobs still hold a slot; then nothing was done.
local tenant = ARGV[4]
local held = live(key('slots', tenant))
if held > 0 then return held end
for _, queue in ipairs(each_queue()) do
  for kind in pairs(kinds_of(queue)) do
    call('DEL', key('wait', queue, tenant, kind), key('slots', tenant, kind))
    call('SREM', key('awaiting', queue, kind), tenant)
    call('HDEL', P .. 'cost', tenant .. '\t' .. kind)
    call('HDEL', P .. 'paused', tenant .. '\t' .. kind)
  end
  call('HDEL', key('waits', queue), tenant)
  call('ZREM', key('ring', queue), tenant)
  call('HDEL', key('vtime', queue), tenant)
end
call('DEL', key('slots', tenant), key('holders', tenant))
call('HDEL', P .. 'paused', tenant .. '\t')
call('HDEL', P .. 'limits', tenant)
return 0
