-- Some members. KEYS: board[, metadata]. ARGV: order, ranks, metadata, member, ...
-- Answers {total, {score, ...}, {rank, ...}[, {metadata, ...}]}, one of each per member.
local order, ranks, metadata = unpack(ARGV, 1, 3)
local members = {}
for at = 4, #ARGV do
  members[#members + 1] = ARGV[at]
end
local scores, places = gather('ZMSCORE', KEYS[1], members), {}
for at, score in ipairs(scores) do
  places[at] = score and rank_of(KEYS[1], order, ranks, members[at], score)
end
local answer = {redis.call('ZCARD', KEYS[1]), scores, places}
if metadata == '1' then
  answer[4] = gather('HMGET', KEYS[2], members)
end
return answer
