-- Take clients for present until a deadline. ARGV: ttl, client, who, client, who, ...
-- Answers whether one of them is the first connection of a user who has a name.
local now = now_us()
local gone = now + tonumber(ARGV[1])
local first = 0
bury(now)
for at = 2, #ARGV, 2 do
  local client, who = ARGV[at], ARGV[at + 1]
  local user, before = user_of(who), redis.call('HGET', KEYS[1], client)
  if before and user_of(before) ~= user then
    take_out(client)
    before = false
  end
  if not before and count(user, 1) == 1 and user ~= '' then
    first = 1
  end
  redis.call('HSET', KEYS[1], client, who)
  redis.call('ZADD', KEYS[2], whole(gone), client)
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIREAT', key, deadline_ms(gone))
end
return first
