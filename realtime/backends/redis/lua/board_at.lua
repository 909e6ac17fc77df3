-- The last entry of which so many per cent stand no better.
-- KEYS: board. ARGV: order, ranks, percentile. Answers as `page`.
local order, ranks, percentile = unpack(ARGV)
local board = open(KEYS, order, ranks)
local total = redis.call('ZCARD', board.key)
percentile = tonumber(percentile)

-- The same operations on doubles as in engine/standings.py.
local function no_better(index)
  return 100 * (total - index) / total
end

local index = math.max(0, math.min(total - 1, math.floor(total * (100 - percentile) / 100)))
if index + 1 < total and no_better(index + 1) >= percentile then
  index = index + 1
elseif index > 0 and no_better(index) < percentile then
  index = index - 1
end
return page(board, total, index, index, '0')
