-- Delete a board and what lies beside it. KEYS: generation, board, .... ARGV: how long it is to be
-- known, in microseconds. Answers how many keys there were.
local now = now_us()
local gone = redis.call('DEL', unpack(KEYS, 2))
if gone > 0 then
  redis.call('SET', KEYS[1], whole(now), 'PXAT', deadline_ms(now + tonumber(ARGV[1])))
end
return gone
