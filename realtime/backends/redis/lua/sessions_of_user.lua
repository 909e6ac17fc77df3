-- The live sessions of a user; those that ended leave the index. KEYS: index.
-- Answers {record, expires in milliseconds, {name, value, ...}, record, ...} by absolute deadline.
local found, ended = {}, {}
for _, record in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local flat = redis.call('HGETALL', record)
  if #flat == 0 then
    ended[#ended + 1] = record
  else
    local at = #found
    found[at + 1], found[at + 2], found[at + 3] = record, redis.call('PEXPIRETIME', record), flat
  end
end
call_with('ZREM', KEYS[1], ended)
return found
