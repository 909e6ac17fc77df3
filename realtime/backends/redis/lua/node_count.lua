-- How many clients of a node are in some channels. KEYS: node.
-- ARGV: ttl, whether this begins the list anew, channel, count, channel, count, ...
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[1])
end
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '0' then
    redis.call('HDEL', KEYS[1], ARGV[at])
  else
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  end
end
redis.call('PEXPIREAT', KEYS[1], deadline_ms(now_us() + tonumber(ARGV[1])))
