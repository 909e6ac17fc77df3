-- Deliver, and count a version on, if nobody was first. KEYS: version.
local after, command, topic, message = unpack(ARGV)
local version = redis.call('GET', KEYS[1]) or '0'
if version ~= after then
  return tonumber(version) and 0 or redis.error_reply('ERR value is not an integer')
end
redis.call('INCR', KEYS[1])
redis.call(command, topic, message)
return 1
