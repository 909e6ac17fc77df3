-- Leases: a sorted set, lease -> the instant at which it expires, in microseconds.

-- What has expired goes last: as the first write of a script it would let a full server take more.
local function drop_expired(key, now)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
end

local function is_active(key, lease, now)
  local ends = redis.call('ZSCORE', key, lease)
  return ends and tonumber(ends) > now
end

-- `is_first`: none is active, so the key need not outlive this one.
local function keep_lease(key, lease, now, ttl, is_first)
  local ends = now + ttl
  redis.call('ZADD', key, whole(ends), lease)
  if is_first or redis.call('PEXPIRETIME', key) * 1000 < ends then
    redis.call('PEXPIREAT', key, deadline_ms(ends))
  end
  drop_expired(key, now)
  return ends
end
