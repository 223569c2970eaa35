-- Reads counter words and changes nothing.
--
-- KEYS     counter words
-- ARGV[1]  history that the caller believes in (master_replid)
--
-- Reply: {'STALE', history} · {'DONE', word as text, or '' where there is none, or {text} where it is no string, …}
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local reply = {'DONE'}
for i = 1, #KEYS do
  local raw = redis.pcall('GET', KEYS[i])
  if type(raw) == 'table' then
    reply[i + 1] = {raw.err}
  else
    reply[i + 1] = raw or ''
  end
end
return reply
