-- Spend from a bucket if its rule allows it. KEYS: bucket. ARGV: rule, and its numbers.
-- Answers {now, the state before}; {now} if what is there is no state of a limit.
local now, state = now_us(), redis.call('GET', KEYS[1])
local allowed, text, deadline = RULES[ARGV[1]](
  now, state, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]),
  tonumber(ARGV[6])
)
if allowed == nil then
  return {now}
end
if text then
  redis.call('SET', KEYS[1], text, 'PXAT', deadline_ms(deadline))
end
return {now, state}
