-- Sessions: `flat` is what HGETALL answers, name, value, name, value, ...

local function field(flat, name)
  for at = 1, #flat, 2 do
    if flat[at] == name then
      return flat[at + 1]
    end
  end
end

-- Move the idle deadline, never beyond the absolute one; where it is now, in milliseconds.
local function touch(record, flat)
  local idle, absolute = tonumber(field(flat, '_idle')), tonumber(field(flat, '_absolute'))
  local deadline = deadline_ms(math.min(now_us() + idle, absolute))
  redis.call('PEXPIREAT', record, deadline)
  return tonumber(deadline)
end

