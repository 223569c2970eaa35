-- Reads counter words and changes nothing.
--
-- KEYS     counter words
-- ARGV[1]  history that the caller believes in (master_replid)
--
-- Reply: {'STALE', history} · {'DONE', time, result…}, `time` by this server's clock in milliseconds, one result for each
-- word: its text, or null where there is none, or {text} where it is no string
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local time = redis.call('TIME')
local reply = {'DONE', time[1] * 1000 + math.floor(time[2] / 1000)}
for i = 1, #KEYS do
  local raw = redis.pcall('GET', KEYS[i])
  if type(raw) == 'table' then
    reply[i + 2] = {raw.err}
  else
    reply[i + 2] = raw
  end
end
return reply
