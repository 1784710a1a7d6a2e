-- A refill begins: admission is closed, and older refills that still are under way may write nothing
-- more.
-- ARGV[4] = epoch
-- Returns 1, or 0 if a newer refill has begun.
if tonumber(call('GET', P .. 'raised') or '0') > tonumber(ARGV[4]) then return 0 end
call('SET', P .. 'raised', ARGV[4])
call('DEL', P .. 'epoch')
return 1
