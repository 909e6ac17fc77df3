-- Change a record and what lies beside it, if the record is as it was seen.
-- KEYS: record; what must be there, the record itself if nothing must; keys to set; keys to delete.
-- ARGV: number of fields seen, of fields to set, of keys to set; name and text per field seen ('':
-- absent, otherwise after a '+'); name and text per field to set; the values of the keys to set.
-- Answers whether it was done.
local record, at = KEYS[1], 3
local seen, changes, values = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local function word()
  at = at + 1
  return ARGV[at]
end

redis.call('HLEN', record) -- fails if it is of another type
for _ = 1, seen do
  local text = redis.call('HGET', record, word())
  if (text and '+' .. text or '') ~= word() then
    return 0
  end
end
if KEYS[2] ~= record and redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end

for _ = 1, changes do
  local name = word()
  redis.call('HSET', record, name, word())
end
for number = 3, 2 + values do
  redis.call('SET', KEYS[number], word())
end
for number = 3 + values, #KEYS do
  redis.call('UNLINK', KEYS[number])
end
return 1
