-- Boards: `order` is 'desc' or 'asc'; `ranks` is 'competition' or 'ordinal'. Scores are texts or
-- numbers; a text that Redis wrote, or '%.17g', is the very same double.

-- The 1-based rank of a member with this score; false where the score is.
local function rank_of(board, order, ranks, member, score)
  if ranks == 'ordinal' then
    local index = redis.call(order == 'desc' and 'ZREVRANK' or 'ZRANK', board, member)
    return index and index + 1
  elseif not score then
    return false
  elseif order == 'desc' then
    return redis.call('ZCOUNT', board, '(' .. score, '+inf') + 1
  end
  return redis.call('ZCOUNT', board, '-inf', '(' .. score) + 1
end

-- The rows at first <= index <= last, best first, as {total, first, rank of the first row (false:
-- ordinal), {member, score, ...}, {metadata, ...} if wanted}.
local function page(board, meta, order, ranks, total, first, last, metadata)
  local range = order == 'desc' and 'ZREVRANGE' or 'ZRANGE'
  local rows = last < first and {} or redis.call(range, board, first, last, 'WITHSCORES')
  local shared = false
  if ranks == 'competition' and rows[1] then
    shared = rank_of(board, order, ranks, rows[1], rows[2])
  end
  if metadata ~= '1' then
    return {total, first, shared, rows}
  end
  local members = {}
  for at = 1, #rows, 2 do
    members[#members + 1] = rows[at]
  end
  return {total, first, shared, rows, gather('HMGET', meta, members)}
end

