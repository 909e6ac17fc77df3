-- Take a lease, or renew it. KEYS: leases. ARGV: limit, lease, ttl.
-- Answers {1, active, the instant of its end}; {0, active, how long until one is free} if refused.
local key, now, limit = KEYS[1], now_us(), tonumber(ARGV[1])
local active = redis.call('ZCOUNT', key, '(' .. whole(now), '+inf')
local is_first = active == 0
if not is_active(key, ARGV[2], now) then
  if active >= limit then
    drop_expired(key, now)
    local next = redis.call('ZRANGE', key, active - limit, active - limit, 'WITHSCORES')
    return {0, active, tonumber(next[2]) - now}
  end
  active = active + 1
end
return {1, active, keep_lease(key, ARGV[2], now, tonumber(ARGV[3]), is_first)}
