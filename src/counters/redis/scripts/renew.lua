-- Gives open takes a new lease, and opens those again that are held.
--
-- KEYS      open takes of a conversation, one for each take; see track.lua
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   its generation
-- ARGV[3…]  three for each take: first number, last number, lease in milliseconds
--
-- Reply: {'STALE', history} · {'DONE', result…}: 1 was open, 2 was held or its lease had ended, and is open now,
-- 0 neither open nor held, or the key holds something else, -1 tracking has not begun
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function renew(open, first, last, lease)
  -- The hold is the lowest of all while it stands.
  local lowest = redis.pcall('ZRANGE', open, 0, 1)
  -- What somebody else has written into one key must not stand in the way of other conversations.
  if lowest.err then return 0 end
  if lowest[1] and not string.find(lowest[1], '^%d+$') then return 0 end
  if lowest[1] ~= ARGV[2] then return -1 end
  local known = redis.call('ZRANGE', open, first, first, 'BYSCORE')[1]
  local number, ends = string.match(known or '', '^(%d+) %d+ (%d+)$')
  if known and number ~= first then return 0 end
  local wasOpen = ends and tonumber(ends) > now
  if known then
    redis.call('ZREM', open, known)
  else
    local from, to = string.match(lowest[2] or '', '^hold (%d+) (%d+) ')
    if not from or tonumber(first) < tonumber(from) or tonumber(first) > tonumber(to) then return 0 end
  end
  redis.call('ZADD', open, first, string.format('%s %s %d', first, last, now + tonumber(lease)))
  return wasOpen and 1 or 2
end

local reply = {'DONE'}
for i = 1, #KEYS do
  local at = i * 3
  reply[i + 1] = renew(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
return reply
