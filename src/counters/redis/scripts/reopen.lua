-- Opens takes again that a lost history had, and renews leases.
--
-- KEYS      open takes of a conversation, one for each take; see track.lua
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   its generation
-- ARGV[3]   '1': takes that are open get the lease, too
-- ARGV[4…]  three for each take: first number, last number, lease in milliseconds
--
-- Reply: {'STALE', history} · {'DONE', result…}: 1 open, 2 was held and is open now, 0 neither open
-- nor held, or the key holds something else, -1 tracking has not begun
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function reopen(open, first, last, lease)
  -- The hold is the lowest of all while it stands.
  local lowest = redis.pcall('ZRANGE', open, 0, 1)
  -- What somebody else has written into one key must not stand in the way of other conversations.
  if lowest.err then return 0 end
  if lowest[1] ~= ARGV[2] then return -1 end
  local known = redis.call('ZRANGE', open, first, first, 'BYSCORE')[1]
  if known and ARGV[3] ~= '1' then return 1 end
  if not known then
    local from, to = string.match(lowest[2] or '', '^hold (%d+) (%d+) ')
    if not from or tonumber(first) < tonumber(from) or tonumber(first) > tonumber(to) then return 0 end
  else
    redis.call('ZREM', open, known)
  end
  redis.call('ZADD', open, first, first .. ' ' .. last .. ' ' .. string.format('%.0f', now + tonumber(lease)))
  return known and 1 or 2
end

local reply = {'DONE'}
for i = 1, #KEYS do
  local at = i * 3 + 1
  reply[i + 1] = reopen(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
return reply
