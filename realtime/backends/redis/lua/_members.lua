-- Where members stand: {total, {score, ...}, {rank, ...}, {index, ...}}, one of each per member,
-- false for those who are not on the board.
local function standings_of(board, ranks, members)
  local scores, places, indices = scores_of(board, members), {}, {}
  for at, score in ipairs(scores) do
    indices[at] = score and index_of(board, members[at])
    if ranks == 'ordinal' then
      places[at] = score and indices[at] + 1
    else
      places[at] = score and rank_of(board, members[at], score)
    end
  end
  return {redis.call('ZCARD', board.key), scores, places, indices}
end

local function words_from(first)
  local words = {}
  for at = first, #ARGV do
    words[#words + 1] = ARGV[at]
  end
  return words
end
