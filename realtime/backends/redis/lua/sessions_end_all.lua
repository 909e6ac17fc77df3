-- End every session of a user. KEYS: index. Answers how many there were.
local ended = 0
for _, record in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  ended = ended + redis.call('DEL', record)
end
redis.call('DEL', KEYS[1])
return ended
