-- The rows at first <= index <= last, best first, as {total, first, rank of the first row (false:
-- ordinal), {member, score, ...}, {metadata, ...} if wanted}.
local function page(board, total, first, last, metadata)
  local rows = last < first and {} or rows_of(board, first, last)
  local shared = false
  if board.ranks ~= 'ordinal' and rows[1] then
    shared = rank_of(board, rows[1], rows[2])
  end
  if metadata ~= '1' then
    return {total, first, shared, rows}
  end
  local members = {}
  for at = 1, #rows, 2 do
    members[#members + 1] = rows[at]
  end
  return {total, first, shared, rows, gather('HMGET', board.meta, members)}
end

