-- End a lease. KEYS: leases. ARGV: lease. Whether it was active.
local now = now_us()
local was_active = is_active(KEYS[1], ARGV[1], now)
redis.call('ZREM', KEYS[1], ARGV[1])
drop_expired(KEYS[1], now)
return was_active and 1 or 0
