-- Who is present: {client, who, client, who, ...}. KEYS: who, until.
local answer = {}
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(now_us()), '+inf')) do
  local who = redis.call('HGET', KEYS[1], client)
  if who then
    answer[#answer + 1] = client
    answer[#answer + 1] = who
  end
end
return answer
