-- KEYS: record. Answers {expires in milliseconds, {name, value, ...}}, or nil.
local flat = redis.call('HGETALL', KEYS[1])
return #flat > 0 and {redis.call('PEXPIRETIME', KEYS[1]), flat}
