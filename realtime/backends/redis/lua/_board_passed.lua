-- How many rows stand up to and at where `stored` has, or would have, this score.
local function passed(board, score, stored)
  if board.desc then
    return redis.call('ZCARD', board.key) - stored_below(board.key, score, stored, false)
  end
  return stored_below(board.key, score, stored, true)
end

-- What is stored of a member who is on the board.
local function stored_of(board, member)
  return member
end

