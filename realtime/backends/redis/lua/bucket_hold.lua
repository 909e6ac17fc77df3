-- Remember what was spent just now. KEYS: hold. ARGV: in how long the clock has given it back, and how
-- long that is remembered, in microseconds.
local now = now_us()
local until_us, deadline = now + tonumber(ARGV[1]), now + tonumber(ARGV[2])
redis.call('SET', KEYS[1], whole(until_us), 'PXAT', deadline_ms(deadline))
return 1
