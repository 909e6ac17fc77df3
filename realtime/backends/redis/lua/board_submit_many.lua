-- Every entry to every board, in order, all or nothing. KEYS: board, metadata, board, metadata, ...
-- ARGV: order, ranks, keep, most, low, high per board, as in board_submit; then per entry member,
-- score, metadata ('': none, otherwise after a '+').
-- Answers {scores before, ranks before, ranks after} per board, one of each per entry; or
-- {number of the board, number of the entry, score before} of the first that is out of bounds.
local BOARDS, RULES, ENTRY = #KEYS / 2, 6, 3

local members, scores, notes = {}, {}, {}
for at = BOARDS * RULES + 1, #ARGV, ENTRY do
  local entry = #members + 1
  members[entry], scores[entry], notes[entry] = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
end

-- What comes of each entry, the earlier ones counted in; and the first that is refused.
local function plan_for(number)
  local order, ranks, keep, most, low, high = unpack(ARGV, (number - 1) * RULES + 1, number * RULES)
  local board = KEYS[2 * number - 1]
  local plan = {
    board = board, meta = KEYS[2 * number], order = order, ranks = ranks, most = tonumber(most),
    seen = open({board}, order, ranks), stored = gather('ZMSCORE', board, members),
    befores = {}, afters = {}
  }
  local counted = {}
  low, high = tonumber(low), tonumber(high)
  for entry, member in ipairs(members) do
    local before = counted[member] or tonumber(plan.stored[entry])
    local after = counting(order, keep, before, scores[entry], low, high)
    plan.befores[entry], plan.afters[entry], counted[member] = before or false, after, after
    if not after then
      return plan, entry
    end
  end
  return plan
end

local function ranks_in(plan, stored)
  local found = {}
  for entry, member in ipairs(members) do
    found[entry] = rank_of(plan.seen, member, stored[entry])
  end
  return found
end

local function store(plan)
  local rows, changed = {}, {}
  for entry, member in ipairs(members) do
    if plan.afters[entry] ~= plan.befores[entry] then
      rows[#rows + 1] = plan.afters[entry]
      rows[#rows + 1] = member
      if notes[entry] ~= '' then
        changed[#changed + 1] = member
        changed[#changed + 1] = string.sub(notes[entry], 2)
      end
    end
  end
  call_with('ZADD', plan.board, rows)
  call_with('HSET', plan.meta, changed)
  trim(plan.board, plan.meta, plan.order, plan.most or math.huge)
end

-- Scores as texts: a number would lose what follows the point on its way to the client.
local function texts(numbers)
  local found = {}
  for at, number in ipairs(numbers) do
    found[at] = number and string.format('%.17g', number)
  end
  return found
end

local plans, answers = {}, {}
for number = 1, BOARDS do
  local plan, refused = plan_for(number)
  if refused then
    return {number, refused, texts(plan.befores)[refused]}
  end
  plans[number] = plan
end
for number, plan in ipairs(plans) do
  local previous = ranks_in(plan, plan.stored)
  store(plan)
  -- Ordinal ranks need no scores.
  local now = plan.ranks == 'competition' and gather('ZMSCORE', plan.board, members) or {}
  answers[number] = {texts(plan.befores), previous, ranks_in(plan, now)}
end
return answers
