-- KEYS: record[, the user's index]. ARGV: idle timeout, absolute timeout, name, value, ...
-- Answers {created, expires, absolute deadline}, or nil if the key is taken.
local record, index, idle = KEYS[1], KEYS[2], ARGV[1]
if redis.call('EXISTS', record) == 1 then
  return false
end
-- The first whole millisecond that is not before the instant, in microseconds.
local function up_to_millisecond(us)
  return math.ceil(us / 1000) * 1000
end

local now = now_us()
local created = now - now % 1000
local absolute = up_to_millisecond(now + tonumber(ARGV[2]))
local expires = math.min(up_to_millisecond(now + tonumber(idle)), absolute)

local fields = {}
for at = 3, #ARGV do
  fields[#fields + 1] = ARGV[at]
end
-- The bookkeeping comes last, so that nothing can stand in for it.
for _, word in ipairs({
  '_version', '1', '_created', whole(created), '_idle', idle, '_absolute', whole(absolute)
}) do
  fields[#fields + 1] = word
end
call_with('HSET', record, fields)
redis.call('PEXPIREAT', record, deadline_ms(expires))
if index then
  redis.call('ZADD', index, whole(absolute), record)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', whole(now))
  if redis.call('PEXPIRETIME', index) * 1000 < absolute then
    redis.call('PEXPIREAT', index, deadline_ms(absolute))
  end
end
return {created, expires, absolute}
