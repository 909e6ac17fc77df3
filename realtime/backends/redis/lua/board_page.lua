-- KEYS: board[, metadata]. ARGV: order, ranks, metadata, first, last. Answers as `page`.
local order, ranks, metadata, first, last = unpack(ARGV)
local total = redis.call('ZCARD', KEYS[1])
return page(KEYS[1], KEYS[2], order, ranks, total, tonumber(first), tonumber(last), metadata)
