-- The score that counts after `score` came in; `before` is nil for a member who is new. Written so
-- that a score which is no number meets the same fate as in engine/ranking.py.
local function counting(order, keep, before, score)
  if before and keep == 'sum' then
    return before + score
  elseif before and keep == 'best' and (score <= before) == (order == 'desc') then
    return before
  end
  return score
end

local function is_allowed(score, low, high)
  return not (low and score < low) and not (high and score > high)
    and score > -math.huge and score < math.huge
end

-- Take the worst beyond `most` from a board that is too full; whether there were any.
local function trim(board, meta, order, most)
  local surplus = redis.call('ZCARD', board) - most
  local pop = order == 'desc' and 'ZPOPMIN' or 'ZPOPMAX'
  local left = surplus
  while left > 0 do
    local rows, members = redis.call(pop, board, math.min(left, 3000)), {}
    for at = 1, #rows, 2 do
      members[#members + 1] = rows[at]
    end
    redis.call('HDEL', meta, unpack(members))
    left = left - #members
  end
  return surplus > 0
end

