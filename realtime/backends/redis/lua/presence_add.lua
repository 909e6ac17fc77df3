-- Take clients for present until a deadline. KEYS: who, until. ARGV: ttl, client, who, client, who, ...
local now = now_us()
local gone = now + tonumber(ARGV[1])
for at = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  redis.call('ZADD', KEYS[2], whole(gone), ARGV[at])
end
-- Those whose node died are nobody's business but everybody's.
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now))) do
  redis.call('HDEL', KEYS[1], client)
  redis.call('ZREM', KEYS[2], client)
end
redis.call('PEXPIREAT', KEYS[1], deadline_ms(gone))
redis.call('PEXPIREAT', KEYS[2], deadline_ms(gone))
