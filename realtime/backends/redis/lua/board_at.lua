-- The last entry of which so many per cent stand no better.
-- KEYS: board. ARGV: order, ranks, percentile. Answers as `page`.
local order, ranks, percentile = unpack(ARGV)
local board = open(KEYS, order, ranks)
local total = redis.call('ZCARD', board.key)
local index = math.floor(total * (100 - tonumber(percentile)) / 100)
index = math.max(0, math.min(total - 1, index))
return page(board, total, index, index, '0')
