-- Removes counter words, and tells what they were.
--
-- KEYS     counter words
-- ARGV[1]  history that the caller believes in (master_replid)
-- ARGV[2]  words that were touched less than so many milliseconds ago stay; 0 removes all
--
-- Reply: {'STALE', history} · {'DONE', result…}, one for each word: its text, or null where there was none, it stayed, or
-- the key holds something else, which stays, too
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local MAX_WORD = 9000999999999999
local idle = tonumber(ARGV[2])

local function drain(key)
  -- Before anything else, because reading the word touches it. The answer is in whole seconds.
  if idle > 0 then
    local seconds = redis.pcall('OBJECT', 'IDLETIME', key)
    if type(seconds) == 'table' then return seconds end
    if not seconds or seconds * 1000 < idle then return false end
  end
  local word = redis.pcall('GET', key)
  if not word or type(word) == 'table' then return false end
  if #word > 16 or not (word == '0' or string.find(word, '^[1-9]%d*$')) or tonumber(word) > MAX_WORD then return false end
  redis.call('UNLINK', key)
  return word
end

local reply = {'DONE'}
for i = 1, #KEYS do
  local removed = drain(KEYS[i])
  if type(removed) == 'table' then return removed end
  reply[i + 1] = removed
end
return reply
