-- Where a member stands. KEYS: board, metadata. ARGV: order, ranks, member.
-- Answers {total, rank, score, metadata}, or nil.
local order, ranks, member = unpack(ARGV)
local board = open(KEYS, order, ranks)
local score = score_of(board, member)
if not score then
  return false
end
local rank = rank_of(board, member, score)
return {redis.call('ZCARD', board.key), rank, score, redis.call('HGET', board.meta, member)}
