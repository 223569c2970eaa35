-- Applies reserved blocks to counter words.
--
-- KEYS      counter words; in a cluster, behind them, the generations that have words in the slot
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   in a cluster: the generation; empty otherwise
-- ARGV[3…]  four for each word: mode ('extend' or 'install'), block start, block end, and the time of this server's
--           clock in milliseconds after which an install is refused
--
-- Reply: {'STALE', history} · {'FENCED', newer generation} · {'DONE', 1 granted or 0 refused, …}
--
-- A slot may go to another primary, get words of a newer generation there, and come back: its earlier primary still has its
-- history. So a word that is new in its generation takes the place of the older ones, and no older generation gets one any
-- more (I6). What notes the generations is their numbers, in the order in which they came, with spaces between them.
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

-- In a cluster: what is noted, whether this generation is, and the older ones.
local noted, isNoted, older = '', false, {}
if ARGV[2] ~= '' then
  local text = redis.pcall('GET', KEYS[#KEYS])
  if type(text) == 'table' and not string.find(text.err, 'WRONGTYPE', 1, true) then return text end
  -- Anything else is a stranger's.
  if type(text) == 'string' and string.find(text, '^[1-9][%d ]*$') then noted = text end
  local generation, newest = tonumber(ARGV[2]), 0
  for found in string.gmatch(noted, '%d+') do
    local number = tonumber(found)
    newest = math.max(newest, number)
    if number == generation then isNoted = true end
    if number < generation then older[#older + 1] = found end
  end
  if newest > generation then return {'FENCED', newest} end
end

local function removeOlder(key)
  local keys = {}
  for i, generation in ipairs(older) do keys[i] = string.match(key, '^(.*:)%d+$') .. generation end
  if #keys > 0 then redis.call('UNLINK', unpack(keys)) end
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
    if not word then removeOlder(key) end
    return 1
  end
  if not word or ceiling ~= first or remaining + size > MAX_REMAINING then return 0 end
  redis.call('INCRBY', key, string.format('%.0f', size * UNIT))
  return 1
end

local reply, hasGranted = {'DONE'}, false
for i = 1, (#ARGV - 2) / 4 do
  local at = i * 4 - 1
  reply[i + 1] = grant(KEYS[i], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
  hasGranted = hasGranted or reply[i + 1] == 1
end
if ARGV[2] ~= '' and hasGranted and not isNoted then
  redis.call('SET', KEYS[#KEYS], noted == '' and ARGV[2] or noted .. ' ' .. ARGV[2])
end
return reply
