-- End a session, and take it from its user's index, which has the same hash tag.
-- KEYS: record. Answers whether there was one.
local record = KEYS[1]
local user = redis.call('HGET', record, '_user')
local index = user and 'user:' .. string.match(record, '{[^}]*}') .. ':' .. user
local deleted = redis.call('DEL', record)
if index then
  redis.call('ZREM', index, record)
end
return deleted
