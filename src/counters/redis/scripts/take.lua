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
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local record = redis.call('GET', KEYS[1])
if record and tonumber(string.match(record, '^%d+')) >= tonumber(ARGV[2]) then return {'SUPERSEDED'} end

local ONE_STEP, ONE_UNDO = '-999999999999', '999999999999'
local MAX_WORD = 9000999999999999

local function undo(key, step)
  if step == ONE_STEP then return redis.call('INCRBY', key, ONE_UNDO) end
  return redis.call('INCRBY', key, string.sub(step, 2))
end

local reply = {'DONE', 0}
for i = 2, #KEYS do
  local key, step = KEYS[i], ARGV[i + 2] or ONE_STEP
  local word = redis.pcall('INCRBY', key, step)
  if type(word) == 'table' then
    local message = word.err
    if i == 2 and not string.find(message, 'WRONGTYPE') and not string.find(message, 'integer') and not string.find(message, 'overflow') then
      return word
    end
    word = message
  elseif word <= 0 or word > MAX_WORD then
    local was = undo(key, step)
    if was == 0 then
      redis.call('DEL', key)
      word = -1
      if reply[2] == 0 then
        local time = redis.call('TIME')
        reply[2] = time[1] * 1000 + math.floor(time[2] / 1000)
      end
    elseif was < 0 or was > MAX_WORD then
      word = string.format('%.0f', was)
    else
      word = -was - 2
    end
  end
  reply[i + 1] = word
end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. cmsgpack.pack(reply), 'PX', ARGV[3])
return reply
