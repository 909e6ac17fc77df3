-- Let the season that a board is in end then; if it is in none, the first one begins now.
-- KEYS: season. ARGV: ends. Answers {number, began}.
local number, began, ends = season_of(KEYS[1])
if not number or ends ~= ARGV[1] then
  number, began = number or '1', began or whole(now_us())
  set_season(KEYS[1], number, began, ARGV[1])
end
return {number, began}
