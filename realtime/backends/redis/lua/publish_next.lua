-- Deliver, and count a version on, if nobody was first. KEYS: version.
local after, command, topic, message = unpack(ARGV)
if (redis.call('GET', KEYS[1]) or '0') ~= after then
  return 0
end
redis.call('INCR', KEYS[1])
redis.call(command, topic, message)
return 1
