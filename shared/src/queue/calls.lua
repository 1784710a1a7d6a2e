-- Takes calls of an API key's second and of its tenant's hour, several at a time: an API process keeps
-- what it was given and asks again when that is used up or too old.
--
-- KEYS[1]  calls of the tenant in this clock hour: a plain number, for everybody to read
-- KEYS[2]  the same of the hour before
-- KEYS[3]  the key's bucket: when it would be full again (ms), by the generic cell rate algorithm
-- KEYS[4]  ZSET API process -> last seen (ms)
-- ARGV[1]  now (ms)          ARGV[2]  how far into the hour (ms)
-- ARGV[3]  calls an hour     ARGV[4]  wanted of the hour   ARGV[5]  given back to it, may be negative:
--                                                                   spent while nobody could be asked
-- ARGV[6]  calls of this hour as the process last saw them: where the count goes on if Redis was emptied
-- ARGV[7]  calls a second    ARGV[8]  wanted of the second ARGV[9]  given back to it
-- ARGV[10] the process
--
-- Answers: granted of the second, ms until one more, calls of it that are left; granted of the hour,
-- calls of this hour, of the hour before; API processes.
local call = redis.call
local now, into = tonumber(ARGV[1]), tonumber(ARGV[2])
local per_hour, wanted, back = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = tonumber(ARGV[6])
local per_second, burst_wanted, burst_back = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

-- Of what is left nobody takes more than a part, so that another process has some too.
local function share(left, asked)
  return math.max(0, math.min(asked, math.max(1, math.floor(left / 8)), math.floor(left)))
end

local granted_second, wait, left_of_second = burst_wanted, 0, 0
if per_second > 0 then
  local interval = 1000 / per_second
  local full_at = math.max(now, tonumber(call('GET', KEYS[3]) or '0') - burst_back * interval)
  local left = (now + 1000 - full_at) / interval + 0.000001
  granted_second = share(left, burst_wanted)
  full_at = full_at + granted_second * interval
  left_of_second = math.max(0, math.floor(left - granted_second))
  if burst_wanted > 0 and granted_second < 1 then
    wait = math.max(1, math.ceil(full_at + interval - 1000 - now))
  end
  call('SET', KEYS[3], string.format('%.6f', full_at), 'PX', math.ceil(full_at - now) + 1000)
else
  granted_second, wait = 0, 1000
end

local counted = call('GET', KEYS[1])
local used = tonumber(counted or known)
local before = tonumber(call('GET', KEYS[2]) or '0')
local spent = used - back
-- The hour before counts by the part of it that is less than an hour ago, so that two hours' calls do
-- not fit around the stroke of the hour.
local left = per_hour - spent - before * (1 - into / 3600000)
local granted_hour = 0
if burst_wanted == 0 or granted_second > 0 then granted_hour = share(left, wanted) end
spent = math.max(0, spent + granted_hour)
if spent ~= used or not counted and spent > 0 then call('SET', KEYS[1], string.format('%d', spent), 'EX', 7200) end

call('ZADD', KEYS[4], now, ARGV[10])
call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 60000)
return { granted_second, wait, left_of_second, granted_hour, spent, before, call('ZCARD', KEYS[4]) }
