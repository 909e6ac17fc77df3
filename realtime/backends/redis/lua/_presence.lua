-- KEYS: who (client -> user and info), until (client -> instant), users (user -> connections).
local function user_of(who)
  local colon = string.find(who, ':', 1, true)
  return string.sub(who, colon + 1, colon + tonumber(string.sub(who, 1, colon - 1)))
end

-- Count a user's connections on; answers how many it has then.
local function count(user, by)
  local connections = tonumber(redis.call('HGET', KEYS[3], user) or '0') + by
  if connections > 0 then
    redis.call('HSET', KEYS[3], user, connections)
  else
    redis.call('HDEL', KEYS[3], user)
  end
  return connections
end

-- Take a client out; answers whether that was the last connection of a user who has a name.
local function take_out(client)
  local who = redis.call('HGET', KEYS[1], client)
  redis.call('HDEL', KEYS[1], client)
  redis.call('ZREM', KEYS[2], client)
  if not who then
    return false
  end
  local user = user_of(who)
  return count(user, -1) <= 0 and user ~= ''
end

-- Those whose node died are nobody's business but everybody's.
local function bury(now)
  for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now))) do
    take_out(client)
  end
end
