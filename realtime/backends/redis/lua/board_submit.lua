-- One score to one board. KEYS: board[, metadata: if there is any, or `most`].
-- ARGV: order, ranks, keep, most ('': any number), low, high ('': none), member, score[, metadata].
-- Answers {score before, rank before, rank after}; {score before} if the score is out of bounds.
local board, meta = KEYS[1], KEYS[2]
local order, ranks, keep, most, low, high, member, score, note = unpack(ARGV)

local stored = redis.call('ZSCORE', board, member)
local before = tonumber(stored)
score = counting(order, keep, before, tonumber(score), tonumber(low), tonumber(high))
if not score then
  return {stored}
end
local seen = open(KEYS, order, ranks)
local previous = stored and rank_of(seen, member, stored)
if score == before then
  return {stored, previous, previous}
end

redis.call('ZADD', board, score, member)
if note then
  redis.call('HSET', meta, member, note)
end
local text = string.format('%.17g', score)
if most ~= '' and trim(board, meta, order, tonumber(most)) then
  text = redis.call('ZSCORE', board, member)
end
return {stored, previous, rank_of(seen, member, text)}
