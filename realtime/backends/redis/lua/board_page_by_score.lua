-- A page of the entries within scores, both included.
-- KEYS: board[, metadata]. ARGV: order, ranks, metadata, lowest, highest, offset, limit.
-- Answers as `page`, where the total counts those within. By index, since BYSCORE would walk over
-- what the offset passes.
local order, ranks, metadata, lowest, highest, offset, limit = unpack(ARGV)
local total = redis.call('ZCOUNT', KEYS[1], lowest, highest)
local first
if order == 'desc' then
  first = redis.call('ZCOUNT', KEYS[1], '(' .. highest, '+inf')
else
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. lowest)
end
local stop = first + total
first = first + tonumber(offset)
local last = math.min(stop, first + tonumber(limit)) - 1
return page(KEYS[1], KEYS[2], order, ranks, total, first, last, metadata)
