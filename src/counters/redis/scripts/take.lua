-- Takes numbers for a batch of conversations, in one atomic step.
--
-- KEYS[1]   lane: keeps the reply of the last take that ran in it, so that a lost reply can be recalled
-- KEYS[2…]  counter words; those that take more than one number come first
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   number of this take in its lane, rising
-- ARGV[3]   time to live of the lane's record, milliseconds
-- ARGV[4…]  steps (n − n·10^12) of the first words; the others take one number
--
-- Reply: {'STALE', history} · {'SUPERSEDED'} · {'DONE', time, result…}, one result for each word:
--   r > 0    taken; r is the word it left
--   r == -1  missing; `time` is then this server's clock in milliseconds, otherwise 0
--   r < -1   short; the word is -r - 2, unchanged
--   text     not a counter word; left as it was
-- An error reply means that nothing was taken.
--
-- The lane's record: '<number> <packed reply>' after a take; see recall.lua for what else it may hold.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local record = redis.call('GET', KEYS[1])
if record and tonumber(string.match(record, '^%d+')) >= tonumber(ARGV[2]) then return {'SUPERSEDED'} end

-- Locals, because the loop runs once for each conversation and a global costs a tenth of it.
local pcall, type, KEYS, ARGV = redis.pcall, type, KEYS, ARGV
local ONE_STEP = '-999999999999'
local MAX_WORD = 9000999999999999
-- A legal word is at most this after its step; for one number, MAX_WORD - 999999999999.
local ONE_LIMIT = 9000000000000000

-- Takes the step back. Returns what the word is, in the form of the reply.
local function undo(key, step, reply)
  local was = redis.call('INCRBY', key, string.sub(step, 2))
  if was == 0 then
    redis.call('UNLINK', key)
    if reply[2] == 0 then
      local time = redis.call('TIME')
      reply[2] = time[1] * 1000 + math.floor(time[2] / 1000)
    end
    return -1
  end
  -- The text and not `was`, which is not exact above 2^53.
  if was < 0 or was > MAX_WORD then return redis.call('GET', key) end
  return -was - 2
end

-- True when the error says that the key holds something else, and not that the server refuses writes.
local function isForeign(message)
  return string.find(message, 'WRONGTYPE', 1, true) or string.find(message, 'not an integer', 1, true)
    or string.find(message, 'overflow', 1, true)
end

local reply = {'DONE', 0}
for i = 2, #KEYS do
  local key, step = KEYS[i], ARGV[i + 2]
  local word = pcall('INCRBY', key, step or ONE_STEP)
  if type(word) == 'table' then
    -- A server that refuses writes refuses the first one; nothing was taken then.
    if i == 2 and not isForeign(word.err) then return word end
    word = word.err
  elseif word <= 0 or word > (step and MAX_WORD + tonumber(step) or ONE_LIMIT) then
    word = undo(key, step or ONE_STEP, reply)
  end
  reply[i + 1] = word
end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. cmsgpack.pack(reply), 'PX', ARGV[3])
return reply
