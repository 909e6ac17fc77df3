-- Take a member out of a closed season.
-- KEYS: as _rich.lua, of the archive; seasons. ARGV: order, ranks, member, number.
-- Answers whether it was there.
local order, ranks, member, number = unpack(ARGV)
local board, seasons = open(KEYS, order, ranks), KEYS[KEYS_EACH + 1]
local row = redis.call('HGET', seasons, number)
if not row or not score_of(board, member) then
  return 0
end
remove(board, {member})
local began, ended, rules = string.match(row, '^(%S+) (%S+) %S+ (.*)$')
local size = whole(redis.call('ZCARD', board.key))
redis.call('HSET', seasons, number, table.concat({began, ended, size, rules}, ' '))
return 1
