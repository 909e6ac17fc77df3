-- Some members. KEYS: board[, metadata]. ARGV: order, ranks, metadata, member, ...
-- Answers {total, {score, ...}, {rank, ...}, {index, ...}[, {metadata, ...}]}, one of each per
-- member.
local order, ranks, metadata = unpack(ARGV, 1, 3)
local board = open(KEYS, order, ranks)
local members = {}
for at = 4, #ARGV do
  members[#members + 1] = ARGV[at]
end
local scores, places, indices = scores_of(board, members), {}, {}
for at, score in ipairs(scores) do
  indices[at] = score and index_of(board, members[at])
  if ranks == 'ordinal' then
    places[at] = score and indices[at] + 1
  else
    places[at] = score and rank_of(board, members[at], score)
  end
end
local answer = {redis.call('ZCARD', board.key), scores, places, indices}
if metadata == '1' then
  answer[5] = gather('HMGET', board.meta, members)
end
return answer
