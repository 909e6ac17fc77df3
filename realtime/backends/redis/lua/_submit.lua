-- The score that counts after `score` came in; nil if it is out of bounds. `before` is nil for a
-- member who is new. Written so that a score which is no number meets the same fate as in
-- engine/ranking.py.
local function counting(order, keep, before, score, low, high)
  if before and keep == 'sum' then
    score = before + score
    if score == before then
      return before
    end
  end
  if (low and score < low) or (high and score > high) then
    return nil
  elseif not (score > -math.huge and score < math.huge) then
    return nil
  elseif before and keep == 'best' and (score <= before) == (order == 'desc') then
    return before
  end
  return score
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

