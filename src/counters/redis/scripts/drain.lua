-- Removes counter words that reach exactly as far as the caller saw, and tells what they were.
--
-- KEYS     counter words
-- ARGV[1]  history that the caller believes in (master_replid); then the ceiling of each word
--
-- Reply: {'STALE', history} · {'DONE', result…}, one for each word: its text, or null where there was none, or
-- the key holds something else or a word that reaches elsewhere, which stays
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local UNIT, MAX_WORD = 1000000000000, 9000999999999999

local function drain(key, ceiling)
  local word = redis.pcall('GET', key)
  if not word or type(word) == 'table' then return false end
  if #word > 16 or not (word == '0' or string.find(word, '^[1-9]%d*$')) or tonumber(word) > MAX_WORD then return false end
  -- I14: a word that was extended since has numbers that the ledger was not asked for. And no block reaches above the last
  -- number of all.
  local found = tonumber(word) % UNIT + math.floor(tonumber(word) / UNIT)
  if found ~= tonumber(ceiling) or found >= UNIT then return false end
  redis.call('UNLINK', key)
  return word
end

local reply = {'DONE'}
for i = 1, #KEYS do reply[i + 1] = drain(KEYS[i], ARGV[i + 1]) end
return reply
