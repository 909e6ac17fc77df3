-- Some members. KEYS: board[, metadata]. ARGV: order, ranks, metadata, member, ...
-- Answers {total, {score, ...}, {rank, ...}, {index, ...}[, {metadata, ...}]}, one of each per
-- member.
local order, ranks, metadata = unpack(ARGV, 1, 3)
local board = open(KEYS, order, ranks)
local members = words_from(4)
local answer = standings_of(board, ranks, members)
if metadata == '1' then
  answer[5] = gather('HMGET', board.meta, members)
end
return answer
