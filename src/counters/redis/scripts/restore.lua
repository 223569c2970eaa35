-- Puts receipts of message ids back where there are none.
--
-- KEYS      receipts
-- ARGV[1]   history that the caller believes in (master_replid)
-- ARGV[2…]  two for each receipt: its number, and its time to live in milliseconds
--
-- Reply: {'STALE', history} · {'DONE', number…}, the number of each message id now; 0 where the key holds something else
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local reply = {'DONE'}
for i = 1, #KEYS do
  local number, known = ARGV[i * 2], false
  if not redis.call('SET', KEYS[i], number, 'PX', ARGV[i * 2 + 1], 'NX') then known = redis.pcall('GET', KEYS[i]) end
  if type(known) == 'table' or known and (#known > 12 or not string.find(known, '^[1-9]%d*$')) then known = '0' end
  reply[i + 1] = tonumber(known or number)
end
return reply
