-- Where a member stands. KEYS: board, metadata. ARGV: order, ranks, member.
-- Answers {total, rank, score, metadata}, or nil.
local order, ranks, member = unpack(ARGV)
local score = redis.call('ZSCORE', KEYS[1], member)
if not score then
  return false
end
local rank = rank_of(KEYS[1], order, ranks, member, score)
return {redis.call('ZCARD', KEYS[1]), rank, score, redis.call('HGET', KEYS[2], member)}
