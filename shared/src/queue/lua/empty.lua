-- Part of emptying the gate before it is filled anew.
-- ARGV[4] = epoch of the refill, ARGV[5..] = whole names of keys
-- Returns 1, or 0 if a newer refill has begun: what is here now may be what that one has written.
if call('GET', P .. 'raised') ~= ARGV[4] then return 0 end
for first = 5, #ARGV, 2000 do call('UNLINK', unpack(ARGV, first, math.min(first + 1999, #ARGV))) end
return 1
