-- From now on it is another board of that name, which is known for `kept` microseconds; each has
-- its own generation.
local function renew(key, now, kept)
  local generation = math.max(now, (tonumber(redis.call('GET', key)) or 0) + 1)
  redis.call('SET', key, whole(generation), 'PXAT', deadline_ms(now + kept))
end

