-- Add to a counter within bounds. KEYS: counter. ARGV: by, lowest, highest, ttl (0: none).
-- Answers {1 if it was done, the text before}.
local key, by, lowest, highest, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local SMALL = 2 ^ 52 -- the sum of two smaller ones is exact, and so is its comparison with anything

-- Whether the sum is out of bounds; not if `text` is no number: INCRBY will say so.
local function is_out(text)
  local before, added = tonumber(text), tonumber(by)
  if before and math.abs(before) < SMALL and math.abs(added) < SMALL then
    local after = before + added
    return after < tonumber(lowest) or after > tonumber(highest)
  end
  before = read(text)
  if not before then
    return false
  end
  local after = sum(before, read(by))
  return below(after, read(lowest)) or below(read(highest), after)
end

local text = redis.call('GET', key)
if is_out(text or '0') then
  return {0, text}
end
redis.call('INCRBY', key, by) -- the deadline stays
if not text and ttl > 0 then
  redis.call('PEXPIREAT', key, deadline_ms(now_us() + ttl))
end
return {1, text}
