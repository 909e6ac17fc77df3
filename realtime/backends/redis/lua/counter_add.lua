-- Add to a counter within bounds. KEYS: counter. ARGV: by, lowest, highest, ttl (0: none).
-- Answers {1 if it was done, the text before}.
local key, by, lowest, highest, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local text = redis.call('GET', key)
local before = read(text or '0')
if before then
  local after = sum(before, read(by))
  if below(after, read(lowest)) or below(read(highest), after) then
    return {0, text}
  end
end
redis.call('INCRBY', key, by) -- the deadline stays; raises an error if there is other text
if not text and ttl > 0 then
  redis.call('PEXPIREAT', key, deadline_ms(now_us() + ttl))
end
return {1, text}
