-- In how many microseconds the next entry of a board leaves by itself, nil where none does.
-- KEYS: deadlines.
local instant = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return instant and math.max(0, tonumber(instant) - now_us())
