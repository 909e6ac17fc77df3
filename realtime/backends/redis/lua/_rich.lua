-- Boards with rules that need more than a sorted set; see engine/entries.py and placedset.py.
-- KEYS per board: board, metadata, places, scores, deadlines, ids, season, generation.
-- `order` is 'desc' or 'asc', the ties ('member' or 'first'), the time to live ('': none) of
-- entries in microseconds, and 's' if the board has seasons, with commas between. `ranks` may also
-- be 'dense'.
--
-- What Redis needs to find things is kept beside what both backends store, and made anew where it
-- is missing, as after a migration: O(n), once.
--     places   hash, member -> 0xFF and its place; '' -> the latest place
--     scores   sorted set, each score once, where ranks are dense
local KEYS_EACH, SLICE = 8, 1000
local DAY = 86400000000
local IDS_KEPT, MOST_IDS, IDS_FORGOTTEN = DAY, 1000000, 1000

local function text_of(score)
  return string.format('%.17g', tonumber(score))
end

-- The member, of what is stored of it.
local function name_of(stored)
  return #stored > 9 and string.byte(stored, 1) == 255 and string.sub(stored, 10) or stored
end

local function describe(keys, order, ranks, now)
  local way, ties, ttl = string.match(order, '^(%l+),(%l+),(%d*),')
  return {
    key = keys[1], meta = keys[2], places = keys[3], scores = keys[4], deadlines = keys[5],
    ids = keys[6], desc = way == 'desc', ranks = ranks, first = ties == 'first',
    ttl = tonumber(ttl), now = now
  }
end

local function stored_of(board, member)
  local place = board.first and redis.call('HGET', board.places, member)
  return place and place .. member or member
end

local function all_stored(board, members)
  if not board.first then
    return members
  end
  local stored = gather('HMGET', board.places, members)
  for at, member in ipairs(members) do
    stored[at] = stored[at] and stored[at] .. member or member
  end
  return stored
end

local function score_of(board, member)
  return redis.call('ZSCORE', board.key, stored_of(board, member))
end

local function scores_of(board, members)
  return gather('ZMSCORE', board.key, all_stored(board, members))
end

local function through(board, score)
  return redis.call('ZCOUNT', board.key, '-inf', score)
end

local function below(board, score)
  return redis.call('ZCOUNT', board.key, '-inf', '(' .. score)
end

-- The index from the highest score, of what has this one from the lowest, and this score.
local function turned(board, index, score)
  return redis.call('ZCARD', board.key) - through(board, score) + index - below(board, score)
end

local function index_of(board, member)
  if not board.first then
    return redis.call(board.desc and 'ZREVRANK' or 'ZRANK', board.key, member)
  end
  local stored = stored_of(board, member)
  local index = redis.call('ZRANK', board.key, stored)
  if index and board.desc then
    return turned(board, index, redis.call('ZSCORE', board.key, stored))
  end
  return index
end

-- How many entries have a better score, or at least this one.
local function better(board, score, inclusive)
  local open_end = inclusive and '' or '('
  if board.desc then
    return redis.call('ZCOUNT', board.key, open_end .. score, '+inf')
  end
  return redis.call('ZCOUNT', board.key, '-inf', open_end .. score)
end

local function rank_of(board, member, score)
  if board.ranks == 'ordinal' then
    local index = index_of(board, member)
    return index and index + 1
  elseif not score then
    return false
  elseif board.ranks == 'competition' then
    return better(board, score) + 1
  elseif board.desc then
    return redis.call('ZCOUNT', board.scores, '(' .. score, '+inf') + 1
  end
  return redis.call('ZCOUNT', board.scores, '-inf', '(' .. score) + 1
end

-- Of a board whose ties go to the first, the highest score first. The rows of one score are at
-- the same indices from either end: whole groups are turned, and of the outermost two, which may
-- not be all here, the right part is read.
local function descending(board, first, last)
  local size = redis.call('ZCARD', board.key)
  local rows = redis.call('ZREVRANGE', board.key, first, last, 'WITHSCORES')
  local found, at = {}, 1
  while at <= #rows do
    local stop = at
    while rows[stop + 2] and rows[stop + 3] == rows[at + 1] do
      stop = stop + 2
    end
    local count = (stop - at) / 2 + 1
    local group = {}
    if at == 1 or stop + 2 > #rows then
      local score = rows[at + 1]
      local index = first + (at - 1) / 2 - (size - through(board, score)) + below(board, score)
      group = redis.call('ZRANGE', board.key, index, index + count - 1)
    else
      for from = stop, at, -2 do
        group[#group + 1] = rows[from]
      end
    end
    for _, stored in ipairs(group) do
      found[#found + 1] = stored
      found[#found + 1] = rows[at + 1]
    end
    at = stop + 2
  end
  return found
end

local function rows_of(board, first, last)
  if not board.first then
    return redis.call(board.desc and 'ZREVRANGE' or 'ZRANGE', board.key, first, last, 'WITHSCORES')
  end
  first, last = math.max(first, 0), math.min(last, redis.call('ZCARD', board.key) - 1)
  if last < first then
    return {}
  end
  local rows = board.desc and descending(board, first, last)
    or redis.call('ZRANGE', board.key, first, last, 'WITHSCORES')
  for at = 1, #rows, 2 do
    rows[at] = name_of(rows[at])
  end
  return rows
end

local function passed(board, score, stored)
  if not board.desc then
    return stored_below(board.key, score, stored, true)
  elseif board.first then
    return turned(board, stored_below(board.key, score, stored, true), score)
  end
  return redis.call('ZCARD', board.key) - stored_below(board.key, score, stored, false)
end

-- Forget that a score is there if nobody has it any more.
local function forget_score(board, score)
  if board.ranks == 'dense' and redis.call('ZCOUNT', board.key, score, score) == 0 then
    redis.call('ZREM', board.scores, text_of(score))
  end
end

local function remove(board, members)
  local scores = board.ranks == 'dense' and scores_of(board, members) or {}
  call_with('ZREM', board.key, all_stored(board, members))
  call_with('HDEL', board.meta, members)
  call_with('ZREM', board.deadlines, members)
  if board.first then
    call_with('HDEL', board.places, members)
  end
  for _, score in ipairs(scores) do
    if score then
      forget_score(board, score)
    end
  end
  if redis.call('EXISTS', board.key) == 0 then
    void(board.places)
  end
end

-- Remove what should have left by now, and what is left of a board that has.
local function drop_due(board)
  local due = redis.call('ZRANGEBYSCORE', board.deadlines, '-inf', whole(board.now))
  if #due > 0 and #due < redis.call('ZCARD', board.key) then
    remove(board, due)
  elseif #due > 0 or redis.call('EXISTS', board.key) == 0 then
    for _, key in ipairs({'key', 'meta', 'places', 'scores', 'deadlines'}) do
      void(board[key])
    end
  end
end

-- Call with the rows of the whole set, some at a time: {member, score, ...}.
local function each_slice(key, visit)
  for first = 0, redis.call('ZCARD', key) - 1, SLICE do
    visit(redis.call('ZRANGE', key, first, first + SLICE - 1, 'WITHSCORES'))
  end
end

local function find_places(board)
  local latest = '0'
  each_slice(board.key, function(rows)
    local fields = {}
    for at = 1, #rows, 2 do
      local name = name_of(rows[at])
      if name ~= rows[at] then
        local place = string.sub(rows[at], 1, 9)
        latest = whole(math.max(tonumber(latest), (struct.unpack('>I8', string.sub(place, 2)))))
        fields[#fields + 1] = name
        fields[#fields + 1] = place
      end
    end
    call_with('HSET', board.places, fields)
  end)
  redis.call('HSET', board.places, '', latest)
end

local function find_scores(board)
  each_slice(board.key, function(rows)
    local pairs_of = {}
    for at = 2, #rows, 2 do
      pairs_of[#pairs_of + 1] = rows[at]
      pairs_of[#pairs_of + 1] = text_of(rows[at])
    end
    call_with('ZADD', board.scores, pairs_of)
  end)
end

-- Let what is found by leave with the board.
local function leave_with(board, key)
  local deadline = redis.call('PEXPIRETIME', board.key)
  if deadline > 0 then
    redis.call('PEXPIREAT', key, whole(deadline))
  end
end

-- A board with nothing on it that is due, now or at another instant, and all that is needed to find
-- things.
local function open(keys, order, ranks, due)
  local board = describe(keys, order, ranks, due or now_us())
  if board.ttl then
    drop_due(board)
  end
  if redis.call('EXISTS', board.key) == 1 then
    if board.first and redis.call('EXISTS', board.places) == 0 then
      find_places(board)
      leave_with(board, board.places)
    end
    if ranks == 'dense' and redis.call('EXISTS', board.scores) == 0 then
      find_scores(board)
      leave_with(board, board.scores)
    end
  end
  return board
end

