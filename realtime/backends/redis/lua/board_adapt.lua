-- Bring what is there in line with rules that have changed, a slice at a time.
-- KEYS: as _rich.lua. ARGV: order, ranks, most ('': any number), start. That is -1 if others may
-- have gone by rules meanwhile that know neither places nor dense ranks.
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

-- Let members stand as their names order them, about a slice of them from a cursor on; the next one.
local function forget_some(cursor)
  local found = redis.call('HSCAN', board.places, cursor, 'COUNT', SLICE)
  for at = 1, #found[2], 2 do
    local member, stored = found[2][at], found[2][at + 1] .. found[2][at]
    local score = member ~= '' and redis.call('ZSCORE', board.key, stored)
    if score then
      redis.call('ZADD', board.key, score, member)
      redis.call('ZREM', board.key, stored)
    end
    if member ~= '' then
      redis.call('HDEL', board.places, member)
    end
  end
  return found[1]
end

-- Whether there are more than a slice. The last ones are forgotten at once, so that there is an end
-- also if others go on bringing in members with places.
local function forget_places()
  local cursor, left = '0', math.max(1, redis.call('HLEN', board.places) - SLICE)
  repeat
    cursor = forget_some(cursor)
  until redis.call('HLEN', board.places) <= left
  return left > 1
end

-- Whoever had not heard of places may have brought in somebody who has one: of two rows of a member
-- the better one stays. Answers where to go on, 0 at the end.
local function merge_rows(cursor)
  local found = redis.call('HSCAN', board.places, cursor, 'COUNT', SLICE)
  for at = 1, #found[2], 2 do
    local member, stored = found[2][at], found[2][at + 1] .. found[2][at]
    local other = member ~= '' and redis.call('ZSCORE', board.key, member)
    local score = other and redis.call('ZSCORE', board.key, stored)
    if score then
      local best = better_of(score, other)
      redis.call('ZADD', board.key, best, stored)
      redis.call('ZREM', board.key, member)
      forget_score(board, best == score and other or score)
    elseif other then
      redis.call('HDEL', board.places, member)
    end
  end
  return tonumber(found[1])
end

-- What those who had not heard have left out of what entries are found by. `at` is below 0.
local function see_to_others(at)
  if at == -1 and ranks == 'dense' then
    void(board.scores) -- it is made anew
    board.ranks = 'ordinal'
  end
  local cursor = wants_first and merge_rows(-at - 1) or 0
  return cursor > 0 and -cursor - 1 or 0
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
if start < 0 then
  return see_to_others(start)
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
  if forget_places() then
    return start
  end
  redis.call('DEL', board.places)
  board.first = false
end
local surplus = redis.call('ZCARD', board.key) - most
trim_to(board, most, SLICE)
if surplus > SLICE then
  return start
elseif entry_ttl then
  return give_deadlines()
end
return false
