-- Spend from a bucket if its rule allows it. KEYS: bucket. ARGV: the words of a take, see `take_by`.
-- Answers {now, the state before}; {now} if what is there is no state of a limit; and one more if
-- it was written under other parameters: then nothing was done.
local now, state = now_us(), redis.call('GET', KEYS[1])
local allowed, text, deadline = take_by(ARGV, 1, now, state)
if allowed == nil then
  return {now}
elseif allowed == 'foreign' then
  return {now, state, 1}
end
if text then
  redis.call('SET', KEYS[1], text, 'PXAT', deadline_ms(deadline))
end
return {now, state}
