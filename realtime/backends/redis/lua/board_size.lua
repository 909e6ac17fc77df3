-- KEYS: as _rich.lua. ARGV: order, ranks. Answers how many entries there are.
return redis.call('ZCARD', open(KEYS, ARGV[1], ARGV[2]).key)
