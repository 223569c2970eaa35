-- Finds out what became of a take whose reply was lost, and makes sure that it will not run any more.
--
-- KEYS[1]  lane
-- ARGV[1]  history that the take was sent to
-- ARGV[2]  number of the take in its lane
-- ARGV[3]  time to live of the lane's record, milliseconds
--
-- Reply: {'STALE', history} · {'LOST'}: no record, so it may have run · {'NOT_RUN'} · the reply of the take
--
-- The lane's record is one of these; a take runs only when the number is lower than its own:
--   '<number> <packed reply>'  this take ran
--   '<number>'                 this take did not run and never will; also how a lane begins
--   '<number>?'                nobody knows whether this take ran; it never will again
-- Anything else counts as no record.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if history ~= ARGV[1] then return {'STALE', history} end
local record = redis.pcall('GET', KEYS[1])
if type(record) == 'table' and not string.find(record.err, 'WRONGTYPE', 1, true) then return record end
local ran, mark, from
if type(record) == 'string' then ran, mark, from = string.match(record, '^(%d+)(.?)()') end
if ran == ARGV[2] then
  if mark == ' ' then
    local isPacked, reply = pcall(cmsgpack.unpack, string.sub(record, from))
    return isPacked and reply or {'LOST'}
  end
  -- An earlier recall was here, and its answer was lost too: it is given again.
  return {mark == '?' and 'LOST' or 'NOT_RUN'}
end
if ran and tonumber(ran) > tonumber(ARGV[2]) then return {'LOST'} end
redis.call('SET', KEYS[1], ran and ARGV[2] or ARGV[2] .. '?', 'PX', ARGV[3])
return {ran and 'NOT_RUN' or 'LOST'}
