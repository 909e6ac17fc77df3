-- Every entry to every board, in order, all or nothing. KEYS per board: as _rich.lua.
-- ARGV: how many to name who were overtaken, number of boards; per board order, ranks, keep, most,
-- low, high, as in board_submit; then per entry member, score, metadata, id ('': none, otherwise
-- after a '+').
-- Answers per board {scores before, ranks before, ranks after, 1 where the id was known, pages of
-- whom each entry has passed}, one of each per entry; or {number of the board, number of the entry,
-- score before} of the first that is out of bounds; or {number of the board, 0, and as
-- `season_over`} of the first whose season has ended.
local LIMIT, BOARDS, RULES, ENTRY = tonumber(ARGV[1]), tonumber(ARGV[2]), 6, 4

local members, scores, notes, ids = {}, {}, {}, {}
for at = 2 + BOARDS * RULES + 1, #ARGV, ENTRY do
  local entry = #members + 1
  members[entry], scores[entry] = ARGV[at], tonumber(ARGV[at + 1])
  notes[entry], ids[entry] = ARGV[at + 2], ARGV[at + 3]
end

-- What comes of each entry, the earlier ones counted in; and the first that is refused.
local function plan_for(number)
  local at = 2 + (number - 1) * RULES
  local order, ranks, keep, most, low, high = unpack(ARGV, at + 1, at + RULES)
  local keys = {unpack(KEYS, (number - 1) * KEYS_EACH + 1, number * KEYS_EACH)}
  local board = open(keys, order, ranks)
  local stored = scores_of(board, members)
  local plan = {
    board = board, most = tonumber(most), befores = {}, afters = {}, known = {}, ids = {}
  }
  local counted, seen = {}, {}
  low, high = tonumber(low), tonumber(high)
  for entry, member in ipairs(members) do
    local before, id = counted[member] or tonumber(stored[entry]), ids[entry]
    local after = before
    if id ~= '' and (seen[id] or is_known(board, string.sub(id, 2))) then
      plan.known[entry] = 1
    else
      after = counting(board.desc and 'desc' or 'asc', keep, before, scores[entry], low, high)
      if not after then
        plan.befores[entry] = before or false
        return plan, entry
      end
      counted[member], seen[id] = after, id ~= '' or nil
      if id ~= '' then
        plan.ids[#plan.ids + 1] = string.sub(id, 2)
      end
    end
    plan.befores[entry], plan.afters[entry] = before or false, after or false
    plan.known[entry] = plan.known[entry] or false
  end
  return plan
end

local function ranks_in(plan)
  local found = {}
  local now = plan.board.ranks == 'ordinal' and {} or scores_of(plan.board, members)
  for entry, member in ipairs(members) do
    found[entry] = rank_of(plan.board, member, now[entry])
  end
  return found
end

local function text(number)
  return number and string.format('%.17g', number)
end

-- The rows whom a member has passed who stood at `index`, with the score `before`.
local function overtaken(board, member, index, before)
  local first, stop = index_of(board, member) + 1, redis.call('ZCARD', board.key)
  if board.ranks ~= 'ordinal' then
    first = better(board, score_of(board, member), true)
    stop = before and better(board, text(before)) or stop
  elseif index then
    stop = index + 1
  end
  return page(board, stop, first, math.min(stop, first + LIMIT) - 1, '0')
end

local function enter(plan, entry)
  local board, member, before = plan.board, members[entry], plan.befores[entry]
  local index = LIMIT > 0 and index_of(board, member)
  set_score(board, member, text(before), text(plan.afters[entry]))
  if notes[entry] ~= '' then
    redis.call('HSET', board.meta, member, string.sub(notes[entry], 2))
  end
  return LIMIT > 0 and overtaken(board, member, index, before)
end

-- Who is on the board, of the members that have not been passed over.
local function staying(plan)
  local found, seen = {}, {}
  for entry, member in ipairs(members) do
    if not plan.known[entry] and not seen[member] and score_of(plan.board, member) then
      found[#found + 1], seen[member] = member, true
    end
  end
  return found
end

-- Those who were overtaken, and have left since as the board was too full.
local function mark_gone(board, passed)
  local there = {}
  for at = 1, #passed[4], 2 do
    there[#there + 1] = score_of(board, passed[4][at]) and 1
  end
  passed[5] = there
end

local function texts(numbers)
  local found = {}
  for at, number in ipairs(numbers) do
    found[at] = text(number)
  end
  return found
end

local function first_over()
  local now = now_us()
  for number = 1, BOARDS do
    local order = ARGV[2 + (number - 1) * RULES + 1]
    local over = season_over(KEYS[number * KEYS_EACH - 1], order, now)
    if over then
      return {number, 0, unpack(over)}
    end
  end
end

local over = first_over()
if over then
  return over
end
local plans, answers = {}, {}
for number = 1, BOARDS do
  local plan, refused = plan_for(number)
  if refused then
    return {number, refused, text(plan.befores[refused])}
  end
  plans[number] = plan
end
for number, plan in ipairs(plans) do
  local board, previous, passed = plan.board, ranks_in(plan), {}
  for entry in ipairs(members) do
    local moves = plan.afters[entry] and plan.afters[entry] ~= plan.befores[entry]
    passed[entry] = moves and enter(plan, entry)
  end
  if #plan.ids > 0 then
    note_ids(board, plan.ids)
  end
  trim_to(board, plan.most or math.huge, math.huge)
  if board.ttl then
    stay(board, staying(plan))
  end
  for entry in ipairs(members) do
    if passed[entry] then
      mark_gone(board, passed[entry])
    end
  end
  answers[number] = {texts(plan.befores), previous, ranks_in(plan), plan.known, passed}
end
return answers
