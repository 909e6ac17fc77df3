-- The entries behind a position, whether or not anybody stands there now.
-- KEYS: board, metadata, generation; or those of _rich.lua, of which that is the last.
-- ARGV: order, ranks, metadata, limit[, score, what is stored of the member there].
-- Answers {`page`, what is stored of the last member (false: nobody comes after), generation}.
local order, ranks, metadata, limit, score, stored = unpack(ARGV)
local board = open(KEYS, order, ranks)
local total = redis.call('ZCARD', board.key)
local first = score and passed(board, score, stored) or 0
local found = page(board, total, first, first + limit - 1, metadata)
local rows = found[4]
local more = rows[1] and first + limit < total
local last = more and stored_of(board, rows[#rows - 1]) or false
return {found, last, redis.call('GET', KEYS[#KEYS])}
