-- Let a lease last longer, or shorter. KEYS: leases. ARGV: lease, ttl.
-- Answers the instant of its end; nil if it is not active.
local now = now_us()
if is_active(KEYS[1], ARGV[1], now) then
  return keep_lease(KEYS[1], ARGV[1], now, tonumber(ARGV[2]))
end
drop_expired(KEYS[1], now)
return false
