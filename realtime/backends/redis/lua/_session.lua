-- Sessions: `flat` is what HGETALL answers, name, value, name, value, ...

local function field(flat, name)
  for at = 1, #flat, 2 do
    if flat[at] == name then
      return flat[at + 1]
    end
  end
end

-- The first whole millisecond that is not before the instant, in microseconds.
local function up_to_millisecond(us)
  return math.ceil(us / 1000) * 1000
end

-- Move the idle deadline, never beyond the absolute one; where it is now, in milliseconds.
local function touch(record, flat)
  local idle, absolute = tonumber(field(flat, '_idle')), tonumber(field(flat, '_absolute'))
  local deadline = deadline_ms(math.min(up_to_millisecond(now_us() + idle), absolute))
  redis.call('PEXPIREAT', record, deadline)
  return tonumber(deadline)
end

