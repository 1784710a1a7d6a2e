-- Running rows, each of which must be counted here until its lease ends: its worker may reach PostgreSQL
-- but not Redis, or Redis may have lost a part of what it held. No slot is ever shortened.
-- ARGV[4] = 1 to mend, 0 to look only, ARGV[5..] = id, info, worker, end of lease (ms) for each job
-- Returns the ids of which something was missing.
local mend = ARGV[4] == '1'
local ids = {}
for i = 5, #ARGV, 4 do ids[#ids + 1] = ARGV[i] end
local known, claims, missing = fields('jobs', ids), fields('claimed', ids), {}
for n, id in ipairs(ids) do
  local at = 1 + n * 4
  local text, worker, until_ms = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local job = parse(text)
  local slots, admitted = key('slots', job.tenant), key('admitted', job.queue, job.kind)
  local slot = tonumber(call('ZSCORE', slots, id) or '0')
  local of_kind = limits(job.tenant).kinds[job.kind] and key('slots', job.tenant, job.kind)
  local whole = known[n] and claims[n] and slot > now and call('ZSCORE', admitted, id)
    and (not of_kind or call('ZSCORE', of_kind, id))
    and (job.resource == '' or call('HEXISTS', key('holders', job.tenant), job.resource) == 1)
  if not whole then missing[#missing + 1] = id end
  if mend then
    if not whole then
      remove_waiting(id, job)
      unpark(id, job)
      call('HSET', P .. 'jobs', id, text)
      call('HSETNX', P .. 'claimed', id, claim_of(worker))
      note_queue(job.queue)
      note_kind(job.queue, job.kind)
    end
    call('ZADD', slots, 'GT', until_ms, id)
    call('ZADD', admitted, 'GT', until_ms, id)
    if of_kind then call('ZADD', of_kind, 'GT', until_ms, id) end
    if job.resource ~= '' then call('HSETNX', key('holders', job.tenant), job.resource, id) end
  end
end
return missing
