-- Where a member stands. KEYS: board, metadata. ARGV: order, ranks, member.
-- Answers {total, rank, score, metadata, number of entries that stand better}, or nil.
local order, ranks, member = unpack(ARGV)
local board = open(KEYS, order, ranks)
local score = score_of(board, member)
if not score then
  return false
end
local rank = rank_of(board, member, score)
local ahead = ranks == 'dense' and better(board, score) or rank - 1
local note = redis.call('HGET', board.meta, member)
return {redis.call('ZCARD', board.key), rank, score, note, ahead}
