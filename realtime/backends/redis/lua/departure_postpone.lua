-- Let it be claimed again, unless it is done. KEYS: events, next, tries. ARGV: departure, delay, tries.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  redis.call('ZADD', KEYS[2], whole(now_us() + tonumber(ARGV[2])), ARGV[1])
  if ARGV[3] ~= '0' then
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
  end
end
