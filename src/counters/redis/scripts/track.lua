-- Begins to track conversations in this history.
--
-- KEYS      two for each conversation: its counter word, its open takes
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   its generation
-- ARGV[3]   lease, milliseconds
-- ARGV[4…]  complete mark of each conversation: nothing up to it is open
--
-- Reply: {'STALE', history} · {'DONE', result…}: 1 tracked, 0 the word is missing, text: not a word or not open takes
--
-- Open takes are a sorted set, kept across generations:
--   score 0             '<generation>': the one that tracking has begun in
--   score first - 0.5   'hold <first> <last> <expires>': what may have been open in earlier histories
--   score first         '<first> <last> <expires>': an open take
-- `expires` is by this server's clock, in milliseconds.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local UNIT, MAX_WORD = 1000000000000, 9000999999999999
local time = redis.call('TIME')
local expires = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3]))

local function track(key, open, complete)
  local word = redis.pcall('GET', key)
  if not word then return 0 end
  if type(word) == 'table' then return word.err end
  if #word > 16 or not (word == '0' or string.find(word, '^[1-9]%d*$')) or tonumber(word) > MAX_WORD then return word end
  -- No block reaches above the last number of all.
  local last = tonumber(word) % UNIT
  if last + math.floor(tonumber(word) / UNIT) >= UNIT then return word end
  local generation = redis.pcall('ZRANGE', open, 0, 0)
  if generation.err then return generation.err end
  if generation[1] == ARGV[2] then return 1 end
  -- What somebody else has put there is left as it is.
  if generation[1] and not string.find(generation[1], '^%d+$') then return generation[1] end
  redis.call('ZREMRANGEBYSCORE', open, 0, complete)
  -- The hold of an earlier history, too: the new one begins at the same place or before.
  for _, member in ipairs(redis.call('ZRANGE', open, 0, 0)) do
    if string.find(member, '^hold') then redis.call('ZREM', open, member) end
  end
  redis.call('ZADD', open, 0, ARGV[2])
  if last > complete then
    local hold = string.format('hold %.0f %.0f %s', complete + 1, last, expires)
    redis.call('ZADD', open, string.format('%.1f', complete + 0.5), hold)
  end
  return 1
end

local reply = {'DONE'}
for i = 1, #KEYS / 2 do reply[i + 1] = track(KEYS[i * 2 - 1], KEYS[i * 2], tonumber(ARGV[i + 3])) end
return reply
