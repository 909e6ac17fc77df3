-- Whether a text comes before another one by its bytes; `<` would ask the server's locale.
local function precedes(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- How many members of a set stand below where `stored` would have this score; or at it, too.
-- If it is not there, by bisection: O(log n) look-ups.
local function stored_below(key, score, stored, inclusive)
  if tonumber(redis.call('ZSCORE', key, stored)) == tonumber(score) then
    return redis.call('ZRANK', key, stored) + (inclusive and 1 or 0)
  end
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if precedes(redis.call('ZRANGE', key, middle, middle)[1], stored) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

