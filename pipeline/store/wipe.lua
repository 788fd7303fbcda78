-- Empties a partition, a piece a call: KEYS[1] the marker, KEYS[2..] keys to delete, ARGV[1] the id of the wiping, ARGV[2] '1' in its
-- first call. The first call takes the marker away, so that no flush from another base comes through; the others delete only as long as
-- nobody has flushed since. Until all is deleted the count of keys is wrong, so a wiping that was broken off shows as LOST.
-- Returns 1, or 0 if somebody has flushed in between.
local mine = ARGV[1] .. ' 0 0|'
if ARGV[2] == '1' then
  redis.call('SET', KEYS[1], mine)
elseif redis.call('GET', KEYS[1]) ~= mine then
  return 0
end
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
end
return 1
