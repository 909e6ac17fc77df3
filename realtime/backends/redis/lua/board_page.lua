-- KEYS: board[, metadata]. ARGV: order, ranks, metadata, first, last. Answers as `page`.
local order, ranks, metadata, first, last = unpack(ARGV)
local board = open(KEYS, order, ranks)
return page(board, redis.call('ZCARD', board.key), tonumber(first), tonumber(last), metadata)
