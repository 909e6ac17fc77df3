-- Time is integer microseconds since 1970. A double holds them exactly until the year 2255.
local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- A whole number as text: tostring() would round it to 14 digits.
local function whole(number)
  return string.format('%.0f', number)
end

-- A deadline as PXAT and PEXPIREAT take it: milliseconds, never early.
local function deadline_ms(us)
  return whole(math.ceil(us / 1000))
end

-- Keep a key alive for `ttl`. Now and then is enough, and spares the replicas an effect per use.
local function keep(key, now, ttl)
  if redis.call('PEXPIRETIME', key) * 1000 < now + ttl - math.floor(ttl / 30) then
    redis.call('PEXPIREAT', key, deadline_ms(now + ttl))
  end
end

-- Delete a key that is hardly ever there. Deleting what is not there would count as this script's
-- first write, after which a server that is full refuses none.
local function void(key)
  if redis.call('EXISTS', key) == 1 then
    redis.call('DEL', key)
  end
end
