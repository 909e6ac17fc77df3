-- Set and remove fields, and touch. KEYS: record. ARGV: version expected ('': any), bytes of
-- fields at most ('': any), how many names to remove, these, name, value, ...
-- Answers {expires in milliseconds, {name, value, ...} as they were before, 1 if it was applied};
-- {bytes} if the fields would be too large; nil if there is no session.
local record, expected, most, removals = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local flat = redis.call('HGETALL', record)
if #flat == 0 then
  return false
elseif expected ~= '' and expected ~= field(flat, '_version') then
  return {redis.call('PEXPIRETIME', record), flat, 0}
end

-- The service's own fields do not count.
local function size_of(name, value)
  return string.sub(name, 1, 1) == '_' and 0 or #name + #value
end

local removed, changes, replaced, size = {}, {}, {}, 0
for at = 4, 3 + removals do
  removed[#removed + 1] = ARGV[at]
  replaced[ARGV[at]] = true
end
for at = 4 + removals, #ARGV, 2 do
  local name, value = ARGV[at], ARGV[at + 1]
  changes[#changes + 1] = name
  changes[#changes + 1] = value
  replaced[name] = true
  size = size + size_of(name, value)
end
for at = 1, #flat, 2 do
  if not replaced[flat[at]] then
    size = size + size_of(flat[at], flat[at + 1])
  end
end
if most and size > most then
  return {size}
end

call_with('HDEL', record, removed)
call_with('HSET', record, changes)
redis.call('HINCRBY', record, '_version', 1)
return {touch(record, flat), flat, 1}
