-- Sums of 64-bit integers, which a double cannot hold: pairs {high, low}, high * 10^9 + low
-- with 0 <= low < 10^9. They read and compare exactly; nothing here has to write them.
local BASE = 1000000000

local function pair(high, low)
  local carry = math.floor(low / BASE)
  return {high + carry, low - carry * BASE}
end

-- The pair of a decimal text, nil if it is none.
local function read(text)
  local sign, digits = string.match(text, '^(%-?)(%d+)$')
  if not digits then
    return nil
  end
  local high, low = tonumber(string.sub(digits, 1, -10)) or 0, tonumber(string.sub(digits, -9))
  if sign == '-' then
    return pair(-high, -low)
  end
  return pair(high, low)
end

local function sum(a, b)
  return pair(a[1] + b[1], a[2] + b[2])
end

local function below(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

