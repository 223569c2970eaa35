-- Removes open takes.
--
-- KEYS      open takes of a conversation, one for each take; see track.lua
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   'settle': whatever begins with the number; 'expire': exactly what was read
-- ARGV[3…]  for each take the first of its numbers, or what was read
--
-- Reply: {'STALE', history} · {'DONE', result…}: 1 removed, 0 not there, or the key holds something else
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local isExact = ARGV[2] == 'expire'

local function remove(open, take)
  local removed
  if isExact then
    removed = redis.pcall('ZREM', open, take)
  else
    removed = redis.pcall('ZREMRANGEBYSCORE', open, take, take)
  end
  if type(removed) == 'number' then return removed end
  -- What somebody else has written into one key must not keep the takes of other conversations from being ended.
  if string.find(removed.err, 'WRONGTYPE', 1, true) then return 0 end
  return removed
end

local reply = {'DONE'}
for i = 1, #KEYS do
  local removed = remove(KEYS[i], ARGV[i + 2])
  if type(removed) == 'table' then return removed end
  reply[i + 1] = removed
end
return reply
