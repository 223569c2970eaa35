-- Applies reserved blocks to counter words.
--
-- KEYS      counter words
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2…]  four for each word: mode ('extend' or 'install'), block start, block end, and the time of this server's
--           clock in milliseconds after which an install is refused
--
-- Reply: {'STALE', history} · {'DONE', 1 granted or 0 refused, …}
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end

local UNIT, MAX_REMAINING, MAX_WORD = 1000000000000, 9000, 9000999999999999
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The word, false when there is none, nil when the key holds something else. tonumber alone would accept '0x1' and '1e3'.
local function wordOf(raw)
  if not raw then return false end
  if type(raw) == 'table' or #raw > 16 or not (raw == '0' or string.find(raw, '^[1-9]%d*$')) then return nil end
  local word = tonumber(raw)
  if word > MAX_WORD then return nil end
  return word
end

local function grant(key, mode, first, last, expires)
  local size = last - first
  if size < 1 or size > MAX_REMAINING or last >= UNIT then return 0 end
  if mode == 'install' and now > expires then return 0 end
  local word = wordOf(redis.pcall('GET', key))
  if word == nil then return 0 end
  local remaining = word and math.floor(word / UNIT)
  local ceiling = word and word % UNIT + remaining
  if mode == 'install' and (not word or ceiling < first) then
    redis.call('SET', key, string.format('%.0f', size * UNIT + first))
    return 1
  end
  if not word or ceiling ~= first or remaining + size > MAX_REMAINING then return 0 end
  redis.call('INCRBY', key, string.format('%.0f', size * UNIT))
  return 1
end

local reply = {'DONE'}
for i = 1, #KEYS do
  local at = i * 4 - 2
  reply[i + 1] = grant(KEYS[i], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
end
return reply
