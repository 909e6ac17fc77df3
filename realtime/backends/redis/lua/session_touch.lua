-- As session_read, and touches.
local flat = redis.call('HGETALL', KEYS[1])
return #flat > 0 and {touch(KEYS[1], flat), flat}
