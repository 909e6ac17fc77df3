-- Set and remove fields. KEYS: hash. ARGV: how many names to remove, these, name, value, ...
local removals = tonumber(ARGV[1])
redis.call('HLEN', KEYS[1]) -- fails if it is of another type, also where nothing is to be done
call_with('HDEL', KEYS[1], {unpack(ARGV, 2, 1 + removals)})
call_with('HSET', KEYS[1], {unpack(ARGV, 2 + removals)})
