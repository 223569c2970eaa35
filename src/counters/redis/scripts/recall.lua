-- Finds out what became of a take whose reply was lost, and makes sure that it will not run any more.
--
-- KEYS[1]  lane
-- ARGV[1]  history that the take was sent to
-- ARGV[2]  number of the take in its lane
-- ARGV[3]  time to live of the lane's record, milliseconds
--
-- Reply: {'STALE', history} · {'LOST'}: no record, so it may have run · {'NOT_RUN'} · the reply of the take
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local record = redis.call('GET', KEYS[1])
local ran = record and string.match(record, '^%d+')
if ran == ARGV[2] then
  local from = string.find(record, ' ', 1, true)
  if from then return cmsgpack.unpack(string.sub(record, from + 1)) end
end
-- From here on the take finds a record that is not older than itself, and is superseded.
if not ran or tonumber(ran) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return {ran and 'NOT_RUN' or 'LOST'}
