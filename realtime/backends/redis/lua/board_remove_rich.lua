-- KEYS: as _rich.lua. ARGV: order, ranks, member. Answers whether it was there.
local board = open(KEYS, ARGV[1], ARGV[2])
if not score_of(board, ARGV[3]) then
  return 0
end
remove(board, {ARGV[3]})
return 1
