-- A full page, half of it better than a score; at an end it slides to stay full.
-- KEYS: board[, metadata]. ARGV: order, ranks, metadata, score, radius. Answers as `page`.
local order, ranks, metadata, score, radius = unpack(ARGV)
local board = open(KEYS, order, ranks)
local total, rows = redis.call('ZCARD', board.key), 2 * radius
local first = math.max(0, math.min(better(board, score) - radius, total - rows))
return page(board, total, first, first + rows - 1, metadata)
