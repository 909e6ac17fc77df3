-- The nodes that live; with arguments (ttl, node) that one does from now on. KEYS: nodes.
local now = now_us()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
if ARGV[1] then
  redis.call('ZADD', KEYS[1], whole(now + tonumber(ARGV[1])), ARGV[2])
end
return redis.call('ZRANGE', KEYS[1], 0, -1)
