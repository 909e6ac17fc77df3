-- A stay has ended; with the last one, the user has left. KEYS: here, gone. ARGV: user, stay.
local now, user = now_us(), ARGV[1]
local stays = KEYS[1] .. ':' .. user
redis.call('ZREM', stays, ARGV[2])
redis.call('ZREMRANGEBYSCORE', stays, '-inf', whole(now))
local longest = redis.call('ZRANGE', stays, -1, -1, 'WITHSCORES')[2]
if longest then
  redis.call('ZADD', KEYS[1], longest, user)
else
  redis.call('ZREM', KEYS[1], user)
  redis.call('ZADD', KEYS[2], whole(now), user)
end
