-- KEYS: buckets. Answers {now, state, ...}.
local answer = {now_us()}
for at, key in ipairs(KEYS) do
  answer[at + 1] = redis.call('GET', key)
end
return answer
