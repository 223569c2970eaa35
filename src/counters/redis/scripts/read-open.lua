-- Reads what is open in conversations, and changes nothing.
--
-- KEYS     two for each conversation: its counter word, its open takes (see track.lua)
-- ARGV[1]  history that the caller believes in (master_replid)
-- ARGV[2]  its generation
-- ARGV[3]  most expired takes to name for each conversation
--
-- Reply: {'STALE', history} · {'DONE', result…}, each result {word, state, expired…}. word: its text, null where there is
-- none, {text} where it is no string. state: 'UNTRACKED'; or where the lowest open take begins, 0 when nothing is open;
-- or {text} where the key holds something else. expired: the lowest open takes, if their lease has ended.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function read(key, open)
  local word = redis.pcall('GET', key)
  if type(word) == 'table' then word = {word.err} end
  local members = redis.pcall('ZRANGE', open, 0, ARGV[3])
  if members.err then return {word, {members.err}} end
  if members[1] and not string.find(members[1], '^%d+$') then return {word, {members[1]}} end
  if members[1] ~= ARGV[2] then return {word, 'UNTRACKED'} end
  if not members[2] then return {word, 0} end
  local result = {word}
  for i = 2, #members do
    local first, ends = string.match(members[i], '^(%d+) %d+ (%d+)$')
    if not first then first, ends = string.match(members[i], '^hold (%d+) %d+ (%d+)$') end
    if not first or #first > 12 then return {word, {members[i]}} end
    if i == 2 then
      -- The lowest one tells how far a conversation is complete: it must be the one with the lowest number.
      local place = tonumber(first) - (string.find(members[i], '^hold') and 0.5 or 0)
      if tonumber(redis.call('ZRANGE', open, 1, 1, 'WITHSCORES')[2]) ~= place then return {word, {members[i]}} end
      result[2] = tonumber(first)
    end
    if tonumber(ends) > now then break end
    result[i + 1] = members[i]
  end
  return result
end

local reply = {'DONE'}
for i = 1, #KEYS / 2 do reply[i + 1] = read(KEYS[i * 2 - 1], KEYS[i * 2]) end
return reply
