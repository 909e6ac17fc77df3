-- KEYS: as _rich.lua. ARGV: order, ranks, member. Answers whether it was there; or as `season_over`.
local over = season_over(KEYS[KEYS_EACH - 1], ARGV[1], now_us())
if over then
  return over
end
local board = open(KEYS, ARGV[1], ARGV[2])
if not score_of(board, ARGV[3]) then
  return 0
end
remove(board, {ARGV[3]})
return 1
