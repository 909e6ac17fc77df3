-- A full page with the member in its middle; at an end it slides to stay full.
-- KEYS: board[, metadata]. ARGV: order, ranks, metadata, member, radius. Answers as `page`, or nil.
local order, ranks, metadata, member, radius = unpack(ARGV)
local board = open(KEYS, order, ranks)
local index = index_of(board, member)
if not index then
  return false
end
local total, rows = redis.call('ZCARD', board.key), 2 * radius + 1
local first = math.max(0, math.min(index - radius, total - rows))
return page(board, total, first, first + rows - 1, metadata)
