-- Delete a board and what lies beside it. KEYS: generation, board, .... ARGV: how long it is to be
-- known, in microseconds. Answers how many keys there were.
local gone = redis.call('UNLINK', unpack(KEYS, 2))
if gone > 0 then
  renew(KEYS[1], now_us(), tonumber(ARGV[1]))
end
return gone
