-- KEYS: board, metadata. ARGV: member. Answers whether it was there.
local removed = redis.call('ZREM', KEYS[1], ARGV[1])
if removed == 1 then
  redis.call('HDEL', KEYS[2], ARGV[1])
end
return removed
