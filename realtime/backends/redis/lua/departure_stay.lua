-- Users are here until a deadline. KEYS: here, gone. ARGV: ttl, user, stay, user, stay, ...
local now = now_us()
local deadline = now + tonumber(ARGV[1])
for at = 2, #ARGV, 2 do
  local user = ARGV[at]
  local stays = KEYS[1] .. ':' .. user  -- in the same slot, for it has the same tag
  redis.call('ZADD', stays, whole(deadline), ARGV[at + 1])
  redis.call('ZREMRANGEBYSCORE', stays, '-inf', whole(now))
  redis.call('PEXPIREAT', stays, deadline_ms(deadline))
  redis.call('ZADD', KEYS[1], 'GT', whole(deadline), user)
  redis.call('ZREM', KEYS[2], user)
end
