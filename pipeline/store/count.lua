-- What there is against what the markers say there is. KEYS: the marker asked for first, then, on a single Redis, those of all other
-- partitions; ARGV[1]: the slot on a Cluster, '' on a single Redis, where a database of our own is counted.
-- Returns {stored marker or '', keys that are there, keys that should be there}.
local want = 0
for i = 1, #KEYS do
  local stored = redis.call('GET', KEYS[i])
  if stored then
    want = want + 1 + (tonumber(string.match(stored, '^%S+ %d+ (%d+)|')) or 0)
  end
end
local have
if ARGV[1] == '' then
  have = redis.call('DBSIZE')
else
  have = redis.call('CLUSTER', 'COUNTKEYSINSLOT', ARGV[1])
end
return {redis.call('GET', KEYS[1]) or '', have, want}
