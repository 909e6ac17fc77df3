-- Bring what is there in line with rules that have changed, a slice at a time.
-- KEYS: as _rich.lua. ARGV: order, ranks, most ('': any number), start.
-- Answers where to go on, nil at the end.
local order, ranks, most, start = unpack(ARGV)
local board = describe(KEYS, order, ranks, now_us())
local wants_first, entry_ttl = board.first, board.ttl
most, start = tonumber(most) or math.huge, tonumber(start)
board.first = wants_first or redis.call('EXISTS', board.places) == 1
board.ranks = redis.call('EXISTS', board.scores) == 1 and 'dense' or 'ordinal'

-- The better one of two scores, where there are two.
local function better_of(one, other)
  if not other or (tonumber(one) > tonumber(other)) == board.desc then
    return one
  end
  return other
end

-- Let some members stand as their names order them. Whoever went by other rules meanwhile may have
-- brought somebody in who has a place.
local function forget_places()
  local fields = redis.call('HSCAN', board.places, 0, 'COUNT', SLICE)[2]
  for at = 1, #fields, 2 do
    local member, stored = fields[at], fields[at + 1] .. fields[at]
    local score = member ~= '' and redis.call('ZSCORE', board.key, stored)
    if score then
      score = better_of(score, redis.call('ZSCORE', board.key, member))
      redis.call('ZADD', board.key, score, member)
      redis.call('ZREM', board.key, stored)
    end
    if member ~= '' then
      redis.call('HDEL', board.places, member)
    end
  end
end

local function give_deadlines()
  local rows, members = redis.call('ZRANGE', board.key, start, start + SLICE - 1), {}
  for _, stored in ipairs(rows) do
    local member = board.first and name_of(stored) or stored
    if not redis.call('ZSCORE', board.deadlines, member) then
      members[#members + 1] = member
    end
  end
  stay(board, members)
  local size = redis.call('ZCARD', board.key)
  if start + SLICE < size then
    return start + SLICE
  end
  return redis.call('ZCARD', board.deadlines) < size and 0
end

if redis.call('EXISTS', board.key) == 0 then
  return false
end
if wants_first and redis.call('EXISTS', board.places) == 0 then
  find_places(board)
end
drop_due(board) -- else it might come back
if redis.call('EXISTS', board.key) == 0 then
  return false
end
if not entry_ttl and redis.call('EXISTS', board.deadlines) == 1 then
  redis.call('DEL', board.deadlines)
  for _, key in ipairs({'key', 'meta', 'places', 'scores'}) do
    redis.call('PERSIST', board[key])
  end
end
if ranks ~= 'dense' then
  void(board.scores)
  board.ranks = 'ordinal'
end
if board.first and not wants_first then
  if redis.call('HLEN', board.places) > 1 then
    forget_places()
    return start
  end
  redis.call('DEL', board.places)
  board.first = false
end
if trim_to(board, most, SLICE) then
  return start
elseif entry_ttl then
  return give_deadlines()
end
return false
