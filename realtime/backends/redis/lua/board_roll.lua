-- Close a season of a board and begin the next one.
-- KEYS: as _rich.lua, seasons; then board, metadata, places, scores of the archive.
-- ARGV: order, ranks, number, begins, ends, rules, 1 if it is to end now, how long it is to be known
-- that it has, in microseconds. Answers {began, ended, size}, nil where nothing was done.
local order, ranks, number, begins, ends, rules, force, kept = unpack(ARGV)
local now, season, seasons = now_us(), KEYS[KEYS_EACH - 1], KEYS[KEYS_EACH + 1]
local current, began, until_then = season_of(season)
local is_over = is_past(until_then, now)
if current ~= number or not (is_over or force == '1') then
  return false
end
local ended = is_over and until_then or whole(now)
if is_past(ended, tonumber(began)) then
  ended = began
end

local board = open(KEYS, order, ranks, math.min(tonumber(ended), now))
local size = redis.call('ZCARD', board.key)
for at, kind in ipairs({'key', 'meta', 'places', 'scores'}) do
  local archive = KEYS[KEYS_EACH + 1 + at]
  if size > 0 and redis.call('EXISTS', board[kind]) == 1 then
    redis.call('RENAME', board[kind], archive)
    redis.call('PERSIST', archive)
  else
    void(board[kind])
    void(archive)
  end
end
void(board.deadlines)
renew(KEYS[KEYS_EACH], now, tonumber(kept))
for _, note in ipairs({'packed', 'packing', 'told', 'tried'}) do
  redis.call('HDEL', seasons, number .. ':' .. note)
end
redis.call('HSET', seasons, number, table.concat({began, ended, whole(size), rules}, ' '))
if is_past(begins, tonumber(ended)) then
  begins = ended
end
set_season(season, whole(tonumber(number) + 1), begins, ends)
return {began, ended, size}
