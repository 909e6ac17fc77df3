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
