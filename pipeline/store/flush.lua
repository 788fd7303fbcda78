-- Moves a partition from marker ARGV[1] to marker ARGV[2] with the customers KEYS[2..] = ARGV[3..], or changes nothing.
-- KEYS[1] is the marker; '' stands for none. Returns the marker that is stored afterwards.
-- All keys carry one hash tag, so that marker and customers ride one replication stream and any replica is a prefix.
-- A script that fails half-way is not rolled back: customers may then be ahead of the marker. Recovery skips what they already hold.
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then
  return now
end
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1])
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
