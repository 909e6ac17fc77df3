-- A page of the entries within scores, both included.
-- KEYS: board[, metadata]. ARGV: order, ranks, metadata, lowest, highest, offset, limit.
-- Answers as `page`, where the total counts those within. By index, since BYSCORE would walk over
-- what the offset passes.
local order, ranks, metadata, lowest, highest, offset, limit = unpack(ARGV)
local board = open(KEYS, order, ranks)
local total = redis.call('ZCOUNT', board.key, lowest, highest)
local first = better(board, board.desc and highest or lowest)
local stop = first + total
first = first + tonumber(offset)
local last = math.min(stop, first + tonumber(limit)) - 1
return page(board, total, first, last, metadata)
