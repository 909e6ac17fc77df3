-- Changing boards with rules that need more than a sorted set: see _rich.lua.

-- Set the score of a member, which is another one than `before`, the text of the old one.
local function set_score(board, member, before, score)
  if board.first then
    local place = math.max(board.now, tonumber(redis.call('HGET', board.places, '') or 0) + 1)
    local stored, mark = stored_of(board, member), '\255' .. struct.pack('>I8', place)
    redis.call('HSET', board.places, '', whole(place), member, mark)
    redis.call('ZADD', board.key, score, mark .. member)
    redis.call('ZREM', board.key, stored, member)
  else
    redis.call('ZADD', board.key, score, member)
  end
  if board.ranks == 'dense' then
    redis.call('ZADD', board.scores, score, text_of(score))
    if before then
      forget_score(board, before)
    end
  end
end

-- Drop the worst beyond `most`, or the worst `limit` of them; whether there were any.
local function trim_to(board, most, limit)
  local size = redis.call('ZCARD', board.key)
  local found = size > most
  while size > most do
    local first = math.max(most, size - math.min(limit, SLICE))
    local rows, members = rows_of(board, first, size - 1), {}
    for at = 1, #rows, 2 do
      members[#members + 1] = rows[at]
    end
    remove(board, members)
    if limit <= SLICE then
      return true
    end
    size = redis.call('ZCARD', board.key)
  end
  return found
end

-- Let a key live until then; an eighth longer, so that it is seldom said.
local function keep_until(key, instant, ttl)
  local deadline = redis.call('PEXPIRETIME', key)
  if deadline == -1 or (deadline >= 0 and deadline * 1000 < instant) then
    redis.call('PEXPIREAT', key, deadline_ms(instant + math.floor(ttl / 8)))
  end
end

-- Let entries leave after the time to live of the board.
local function stay(board, members)
  if #members == 0 then
    return
  end
  local leave, rows = board.now + board.ttl, {}
  for _, member in ipairs(members) do
    rows[#rows + 1] = whole(leave)
    rows[#rows + 1] = member
  end
  call_with('ZADD', board.deadlines, rows)
  for _, key in ipairs({'key', 'meta', 'deadlines', 'places', 'scores'}) do
    keep_until(board[key], leave, board.ttl)
  end
end

local function is_known(board, id)
  local since = redis.call('ZSCORE', board.ids, id)
  return since and tonumber(since) > board.now - IDS_KEPT
end

-- Remember the ids of submits, and forget old ones.
local function note_ids(board, ids)
  local old = redis.call(
    'ZRANGEBYSCORE', board.ids, '-inf', whole(board.now - IDS_KEPT), 'LIMIT', 0, IDS_FORGOTTEN
  )
  local most = redis.call('ZCARD', board.ids) - #old + #ids
  if most > MOST_IDS then
    old = redis.call('ZRANGE', board.ids, 0, math.max(IDS_FORGOTTEN, #ids) - 1)
  end
  local rows = {}
  for _, id in ipairs(ids) do
    rows[#rows + 1] = whole(board.now)
    rows[#rows + 1] = id
  end
  call_with('ZREM', board.ids, old)
  call_with('ZADD', board.ids, rows)
  keep_until(board.ids, board.now + IDS_KEPT, IDS_KEPT)
end

