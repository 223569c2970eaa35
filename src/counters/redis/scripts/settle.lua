-- Removes open takes.
--
-- KEYS      open takes of a conversation, one for each take; see track.lua
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   'settle': whatever begins with the number; 'expire': exactly what was read
-- ARGV[3…]  for each take the first of its numbers, or what was read
--
-- Reply: {'STALE', history} · {'DONE', result…}: 1 removed, 2 removed and its lease had ended, 0 not there, or the key
-- holds something else
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local isExact = ARGV[2] == 'expire'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function remove(open, take)
  local member = take
  if not isExact then
    local found = redis.pcall('ZRANGE', open, take, take, 'BYSCORE')
    -- What somebody else has written into one key must not keep the takes of other conversations from being ended.
    if found.err then return 0 end
    member = found[1]
    -- Nor is it of another take, whatever its place says.
    if not member or string.match(member, '^(%d+) %d+ %d+$') ~= take then return 0 end
  end
  local removed = redis.pcall('ZREM', open, member)
  if type(removed) == 'table' then return string.find(removed.err, 'WRONGTYPE', 1, true) and 0 or removed end
  if removed == 1 and tonumber(string.match(member, '%d+$') or 0) <= now then return 2 end
  return removed
end

local reply = {'DONE'}
for i = 1, #KEYS do
  local removed = remove(KEYS[i], ARGV[i + 2])
  if type(removed) == 'table' then return removed end
  reply[i + 1] = removed
end
return reply
