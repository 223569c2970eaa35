-- Takes numbers for a batch of conversations, in one atomic step.
--
-- KEYS[1]   lane: keeps the reply of the last take that ran in it, so that a lost reply can be recalled
-- KEYS[2…]  counter words: first those with claims, then those that take one number for one message id, then those that
--           take more than one number, then the others; behind them, for each word with claims its open takes (if any
--           claim is tracked) and one receipt for each message id, and one receipt for each word with one message id
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2]   number of this take in its lane, rising
-- ARGV[3]   time to live of the lane's record, milliseconds
-- ARGV[4]   how many counter words
-- If there are keys of claims: how many words have claims, how many have one message id, the generation, the time to
--           live of receipts of words with one message id in milliseconds; and for each word with claims: count, number
--           of claims, time to live of its receipts, lease (0 when no claim is tracked), and for each claim its kind
--           and offset: 'r0' with a receipt, 'b0' with a receipt and tracked, 't0' tracked, and then its count
-- The rest  steps (n − n·10^12) of the words behind those with claims; where there is none, one number is taken
--
-- In a cluster there are no KEYS, because those of several slots cannot be declared, although one primary serves them:
-- ARGV[4] is '<words> <keys>', and the keys come behind it.
--
-- Reply: {'STALE', history} · {'MOVED'}: the lane is elsewhere · {'SUPERSEDED'} · {'DONE', time, result…, claim result…}, one
-- result for each word:
--   r > 0    taken; r is the word it left
--   r == 0   nothing had to be taken: every message id has its number
--   r == -1  missing; `time` is then this server's clock in milliseconds, otherwise 0
--   r < -1   short; the word is -r - 2, unchanged
--   text     'UNTRACKED': tracking has not begun; anything else: not a counter word, or not open takes, left as it was
--   {n}      of a word with one message id: nothing had to be taken, the message id has the number n; {text}: its
--            receipt is none
--   {0}      in a cluster: its slot is elsewhere, or on the way there; nothing was taken
-- and one for each claim of the words with claims: 0 fresh; n > 0 the number that the message id has; text: the receipt is none; and where r >= 0,
-- n < 0 the number -n of a message id whose take is tracked and not open.
-- An error reply means that nothing was taken.
--
-- The lane's record: '<number> <packed reply>' after a take; see recall.lua for what else it may hold. Whatever nobody but a
-- stranger can have written counts as no record, and is overwritten: the lane is this process's own.
-- A receipt: the number. Open takes: a sorted set, see track.lua.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end

local KEYS, words, at = KEYS, tonumber(ARGV[4]), 5
if not words then
  local keys
  words, keys = string.match(ARGV[4], '^(%d+) (%d+)$')
  words, KEYS = tonumber(words), {}
  for i = 1, tonumber(keys) do KEYS[i] = ARGV[4 + i] end
  at = at + #KEYS
end

-- True for the error of a key that is not here: another primary has its slot, or the slot is on the way there.
local function isElsewhere(message)
  return string.find(message, 'non local key', 1, true) or string.find(message, 'rehashing of the slot', 1, true)
    or string.find(message, 'slot not served', 1, true)
end

local record = redis.pcall('GET', KEYS[1])
if type(record) == 'table' and not string.find(record.err, 'WRONGTYPE', 1, true) then
  return isElsewhere(record.err) and {'MOVED'} or record
end
local ran = type(record) == 'string' and string.match(record, '^%d+')
if ran and tonumber(ran) >= tonumber(ARGV[2]) then return {'SUPERSEDED'} end

-- Locals, because the loop runs once for each conversation and a global costs a tenth of it.
local call, pcall, type, ARGV = redis.call, redis.pcall, type, ARGV
local UNIT, MAX_WORD = 1000000000000, 9000999999999999
local ONE_STEP = '-999999999999'
-- A legal word is at most this after its step; for one number, MAX_WORD - 999999999999.
local ONE_LIMIT = 9000000000000000
-- Up to this last number, no ceiling is above the last number of all.
local HIGH = UNIT - 9001
local ELSEWHERE = {0}
local reply = {'DONE', 0}
-- What a server says that refuses writes: it refuses the first one, and nothing was taken then.
local refusal
local hasWritten = false

-- Takes the step back. Returns what the word is, in the form of the reply.
local function undo(key, step)
  local was = call('INCRBY', key, string.sub(step, 2))
  if was == 0 then
    call('UNLINK', key)
    if reply[2] == 0 then
      local time = call('TIME')
      reply[2] = time[1] * 1000 + math.floor(time[2] / 1000)
    end
    return -1
  end
  -- The text and not `was`, which is not exact above 2^53.
  if was < 0 or was > MAX_WORD or was % UNIT + math.floor(was / UNIT) >= UNIT then return call('GET', key) end
  return -was - 2
end

-- Takes a step of n numbers. Returns the word that it left, or what the word is, in the form of the reply.
local function take(key, step, limit, n)
  local word = pcall('INCRBY', key, step)
  if type(word) == 'table' then
    local message = word.err
    if isElsewhere(message) then return ELSEWHERE end
    local isForeign = string.find(message, 'WRONGTYPE', 1, true) or string.find(message, 'not an integer', 1, true)
      or string.find(message, 'overflow', 1, true)
    if not isForeign and not hasWritten then refusal = word end
    return message
  end
  hasWritten = true
  if word <= 0 or word > limit then return undo(key, step) end
  local last = word % UNIT
  -- No block reaches above the last number of all. A last number that passed it would begin again at the first one.
  if last < n or last > HIGH and last + (word - last) / UNIT >= UNIT then return undo(key, step) end
  return word
end

local unclaimed, claimResults, generation = 2, nil, nil

-- Takes for the words with claims, which come first. In a function, because the others do not need what is made here.
local function takeAllClaimed()
  -- A message is sent again: if its take is open still, whoever sends it has a whole lease for it. One that is only held,
  -- or whose lease has ended, may have ended long ago.
  local function renew(open, number, now, expires)
    local known = call('ZRANGE', open, number, number, 'BYSCORE')[1]
    local first, ends = string.match(known or '', '^(%d+) %d+ (%d+)$')
    if first ~= string.format('%d', number) or tonumber(ends) <= now then return false end
    call('ZREM', open, known)
    call('ZADD', open, number, string.format('%d %d %s', number, number, expires))
    return true
  end

  -- Takes for one word what its claims leave to be taken, and keeps what they ask for.
  local function takeClaimed(word, open, count, claims, ttl, lease)
    local before, repeated, isAway = #claimResults, 0, false
    for c, claim in ipairs(claims) do
      local known = claim.receipt and pcall('GET', claim.receipt)
      local result = 0
      if type(known) == 'table' then
        if isElsewhere(known.err) then isAway = true end
        result = known.err
      elseif known then
        result = #known <= 12 and string.find(known, '^[1-9]%d*$') and tonumber(known) or known
      end
      -- What came before it and took no number does not count.
      if result == 0 then claim.offset = claim.offset - repeated else repeated = repeated + 1 end
      claimResults[before + c] = result
    end
    if isAway then return ELSEWHERE end
    count = count - repeated
    local begun, now, expires, taken = true, nil, nil, 0
    if open then
      local first = pcall('ZRANGE', open, 0, 0)
      if first.err then return isElsewhere(first.err) and ELSEWHERE or first.err end
      begun = first[1] == generation
      if not begun and first[1] and not string.find(first[1], '^%d+$') then return first[1] end
      local time = call('TIME')
      now = time[1] * 1000 + math.floor(time[2] / 1000)
      expires = string.format('%d', now + tonumber(lease))
    end
    if count > 0 or not begun then
      local n = math.max(count, 1)
      local step = string.format('%d', n - n * UNIT)
      taken = take(word, step, MAX_WORD + n - n * UNIT, n)
      if type(taken) ~= 'number' or taken <= 0 then
        -- Too little is left, which does not matter to a message that has its number.
        return count == 0 and type(taken) == 'number' and taken < -1 and 'UNTRACKED' or taken
      end
      if not begun then
        undo(word, step)
        return 'UNTRACKED'
      end
    end
    local start = taken % UNIT - count
    for c, claim in ipairs(claims) do
      local number = claimResults[before + c]
      if number == 0 then
        local first = start + 1 + claim.offset
        if claim.receipt then call('SET', claim.receipt, string.format('%d', first), 'PX', ttl) end
        if claim.tracked then
          call('ZADD', open, first, string.format('%d %d %s', first, first + claim.count - 1, expires))
        end
      elseif claim.tracked and type(number) == 'number' and not renew(open, number, now, expires) then
        claimResults[before + c] = -number
      end
    end
    return taken
  end

  -- Reads the claims of the word KEYS[i], and takes for it. Returns the key and the argument that come next.
  local function readClaimed(i, key, at)
    local count, ttl, lease = tonumber(ARGV[at]), ARGV[at + 2], ARGV[at + 3]
    local claims, open = {}, nil
    if lease ~= '0' then
      open = KEYS[key]
      key = key + 1
    end
    local nextClaim = at + 4
    for c = 1, tonumber(ARGV[at + 1]) do
      local text = ARGV[nextClaim]
      local kind = string.sub(text, 1, 1)
      local claim = {offset = tonumber(string.sub(text, 2)), count = 1, tracked = kind ~= 'r'}
      nextClaim = nextClaim + 1
      if kind == 't' then
        claim.count = tonumber(ARGV[nextClaim])
        nextClaim = nextClaim + 1
      else
        claim.receipt = KEYS[key]
        key = key + 1
      end
      claims[c] = claim
    end
    reply[i + 1] = takeClaimed(KEYS[i], open, count, claims, ttl, lease)
    return key, nextClaim
  end

  -- Takes one number for one message id, which is what most claims are. Most of them are sent once: the number is taken
  -- first, and taken back if there is a receipt.
  local function takeForMessage(word, receipt, ttl)
    local taken = take(word, ONE_STEP, ONE_LIMIT, 1)
    local isTaken = type(taken) == 'number' and taken > 0
    local kept = isTaken and pcall('SET', receipt, string.format('%d', taken % UNIT), 'PX', ttl, 'NX')
    if kept and kept.ok then return taken end
    if kept and not isElsewhere(kept.err) then error(kept.err) end
    local known = pcall('GET', receipt)
    if not known then return taken end
    if isTaken then undo(word, ONE_STEP) end
    if type(known) == 'table' then return isElsewhere(known.err) and ELSEWHERE or {known.err} end
    return {#known <= 12 and string.find(known, '^[1-9]%d*$') and tonumber(known) or known}
  end

  claimResults, generation = {}, ARGV[at + 2]
  local claimed, single, ttl = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 3]
  local key = words + 2
  at = at + 4
  for i = 2, claimed + 1 do
    key, at = readClaimed(i, key, at)
    if refusal then return refusal end
  end
  unclaimed = claimed + single + 2
  for i = 1, single do
    reply[claimed + 2 + i] = takeForMessage(KEYS[claimed + 1 + i], KEYS[key + i - 1], ttl)
    if refusal then return refusal end
  end
end

if #KEYS > words + 1 then
  local refused = takeAllClaimed()
  if refused then return refused end
end

at = at - unclaimed
for i = unclaimed, words + 1 do
  local step = ARGV[at + i]
  if step then
    local number = tonumber(step)
    reply[i + 1] = take(KEYS[i], step, MAX_WORD + number, number % UNIT)
  else
    reply[i + 1] = take(KEYS[i], ONE_STEP, ONE_LIMIT, 1)
  end
  if refusal then return refusal end
end
if claimResults then
  for i = 1, #claimResults do reply[words + 2 + i] = claimResults[i] end
end
call('SET', KEYS[1], ARGV[2] .. ' ' .. cmsgpack.pack(reply), 'PX', ARGV[3])
return reply
