-- Boards that are a sorted set and nothing else; _rich.lua has the same names for all others.
-- `order` is 'desc' or 'asc'; `ranks` is 'competition' or 'ordinal'. Scores are texts or numbers;
-- a text that Redis wrote, or '%.17g', is the very same double. Indices count from 0, best first.

local function open(keys, order, ranks)
  return {key = keys[1], meta = keys[2], desc = order == 'desc', ranks = ranks}
end

local function score_of(board, member)
  return redis.call('ZSCORE', board.key, member)
end

local function scores_of(board, members)
  return gather('ZMSCORE', board.key, members)
end

local function index_of(board, member)
  return redis.call(board.desc and 'ZREVRANK' or 'ZRANK', board.key, member)
end

-- How many entries have a better score.
local function better(board, score)
  if board.desc then
    return redis.call('ZCOUNT', board.key, '(' .. score, '+inf')
  end
  return redis.call('ZCOUNT', board.key, '-inf', '(' .. score)
end

-- The 1-based rank of a member with this score; false where the score is.
local function rank_of(board, member, score)
  if board.ranks == 'ordinal' then
    local index = index_of(board, member)
    return index and index + 1
  end
  return score and better(board, score) + 1
end

-- {member, score, ...} at first <= index <= last.
local function rows_of(board, first, last)
  return redis.call(board.desc and 'ZREVRANGE' or 'ZRANGE', board.key, first, last, 'WITHSCORES')
end

