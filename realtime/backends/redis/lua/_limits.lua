-- What `take` of the rules in engine/limits would store: the same integers, within doubles,
-- which are exact up to 2^53. Products outgrow that; so instants are counted in microseconds and
-- a part of one (fewer than 2^31 ticks), and products are divided before they are compared.
-- The first number of a state is below 2^53, the others are below 2^31: what has larger ones is no
-- state. What begins with a mark, a negative number, is another algorithm's; there all numbers have
-- at most 16 digits (engine/limits/decision.py). So is a negative number alone, which none wrote.
--
-- Each rule answers: whether the cost is allowed (nil: the state is none), the text to store (nil:
-- nothing), the microsecond at which it may be forgotten.

local ONE, TWO, THREE = '^(%d+)$', '^(%d+) (%d+)$', '^(%d+) (%d+) (%d+)$'
local TOO_LONG = '%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d' -- written out: all of this is run at each call

local function is_marked(state)
  return string.find(state, '^%-%d+ [%d ]*%d$') and not string.find(state, '  ', 1, true)
    and not string.find(state, TOO_LONG)
end

-- The numbers of a state, nil if it is none. Nearly always it is one of the rule's own.
local function numbers_of(state, own)
  local a, b, c = string.match(state, own)
  if not a then
    a, b, c = string.match(state, THREE)
    if not a then
      a, b = string.match(state, TWO)
      a = a or string.match(state, ONE)
        or ((is_marked(state) or string.find(state, '^%-%d+$')) and -1)
    end
  end
  a, b, c = tonumber(a), tonumber(b), tonumber(c)
  if a and a < 2 ^ 53 and (not b or b < 2 ^ 31) and (not c or c < 2 ^ 31) then
    return a, b, c
  end
end

-- ceil(a * b / c), exactly, for a below 2^35 and b, c below 2^45: long division, seven bits of `a`
-- at a time, so that nothing on the way reaches 2^53.
local function ceil_ratio(a, b, c)
  local quotient, rest = 0, 0
  for shift = 28, 0, -7 do
    rest = rest * 128 + math.floor(a / 2 ^ shift) % 128 * b
    local times = math.floor(rest / c)
    quotient, rest = quotient * 128 + times, rest - times * c
  end
  return rest > 0 and quotient + 1 or quotient
end

local function is_later(whole_a, part_a, whole_b, part_b)
  return whole_a > whole_b or (whole_a == whole_b and part_a > part_b)
end

-- When the bucket is full, in this rule's ticks, rounded up: microseconds and part. The part may be
-- a whole microsecond; whoever adds to it carries that.
local function full_at(us, part, old, scale)
  if us < 0 then
    return 0, 0 -- another algorithm's, too
  elseif not part then
    return us, 0
  elseif not old then
    return 0, 0 -- another algorithm's: it cannot be converted
  elseif old == scale and part < scale then
    return us, part
  end
  old = math.max(old, 1)
  return us + math.floor(part / old), ceil_ratio(part % old, scale, old)
end

local function bucket(us, part, scale)
  if scale == 1 then
    return whole(us), us
  end
  return whole(us) .. ' ' .. whole(part) .. ' ' .. whole(scale), part > 0 and us + 1 or us
end

-- `capacity` and `price` are microseconds and a part each.
local function token_bucket(now, state, scale, capacity, capacity_part, price, price_part)
  local us, part = now, 0
  if state then
    local first, second, third = numbers_of(state, scale == 1 and ONE or THREE)
    if not first then
      return nil
    end
    us, part = full_at(first, second, third, scale)
  end
  local horizon = now + capacity -- and capacity_part: an empty bucket is full by then
  local is_ahead = is_later(us, part, horizon, capacity_part)
  if is_ahead then
    us, part = horizon, capacity_part
  elseif us < now then
    us, part = now, 0
  end
  us, part = us + price, part + price_part
  if part >= scale then
    us, part = us + 1, part - scale
  end
  if not is_later(us, part, horizon, capacity_part) then
    return true, bucket(us, part, scale)
  elseif is_ahead then
    return false, bucket(horizon, capacity_part, scale) -- the clock stepped back: anchor it anew
  end
  return false
end

local function fixed_window(now, state, quota, period, cost)
  local window = math.floor(now / period)
  local seen, spent, third = window, 0, nil
  if state then
    seen, spent, third = numbers_of(state, TWO)
    if not seen then
      return nil
    elseif not spent or third then
      seen, spent = window, 0 -- another algorithm's
    end
  end
  if seen < window then
    spent = 0
  end
  local ends = (window + 1) * period
  if spent + cost <= quota then
    return true, whole(window) .. ' ' .. whole(spent + cost), ends
  elseif seen > window then
    return false, whole(window) .. ' ' .. whole(spent), ends
  end
  return false
end

local function sliding_window(now, state, quota, period, cost)
  local window = math.floor(now / period)
  local seen, previous, current = window, 0, 0
  if state then
    seen, previous, current = numbers_of(state, THREE)
    if not seen then
      return nil
    elseif not current then
      seen, previous, current = window, 0, 0 -- another algorithm's
    end
  end
  if seen < window then
    previous, current = seen == window - 1 and current or 0, 0
  end
  local ends = (window + 1) * period
  local is_allowed = ceil_ratio(previous, ends - now, period) <= quota - current - cost
  if not is_allowed and seen <= window then
    return false
  end
  if is_allowed then
    current = current + cost
  end
  local text = whole(window) .. ' ' .. whole(previous) .. ' ' .. whole(current)
  return is_allowed, text, ends + period
end

-- The text of entries, those of one instant merged, and the newest of them.
local function log_text(entries)
  local parts = {'-2'}
  for at = 1, #entries, 2 do
    local units = entries[at + 1]
    if #parts > 1 and parts[#parts - 1] == whole(entries[at]) then
      parts[#parts] = whole(tonumber(parts[#parts]) + units)
    else
      parts[#parts + 1] = whole(entries[at])
      parts[#parts + 1] = whole(units)
    end
  end
  return table.concat(parts, ' '), entries[#entries - 1]
end

local function sliding_log(now, state, quota, period, cost)
  local entries, spent, newest = {}, 0, 0
  if state and string.sub(state, 1, 3) == '-2 ' then
    local read, count, begins = 2, 0, now - period
    for instant, units in string.gmatch(state, ' (%d+) (%d+)') do
      read = read + #instant + #units + 2
      newest = tonumber(instant)
      if newest > begins then
        local spent_then = tonumber(units)
        entries[count + 1], entries[count + 2] = newest < now and newest or now, spent_then
        count, spent = count + 2, spent + spent_then
      end
    end
    if read ~= #state or newest >= 1e16 or spent >= 1e16 then
      return nil -- there is more in it, or less
    end
  elseif state and not numbers_of(state, ONE) then
    return nil
  end
  local is_allowed = cost <= quota - spent
  if is_allowed then
    entries[#entries + 1] = now
    entries[#entries + 1] = cost
  elseif newest <= now then
    return false
  end
  local text, last = log_text(entries)
  return is_allowed, text, last + period
end

-- The three numbers after a mark; 0 for each if it is another algorithm's, nil if it is no state.
local function marked(state, mark, own)
  if string.sub(state, 1, #mark) == mark then
    local a, b, c = string.match(state, own)
    if a and not string.find(state, TOO_LONG) then
      return tonumber(a), tonumber(b), tonumber(c)
    end
  elseif numbers_of(state, ONE) then
    return 0, 0, 0
  end
end

local function calendar_window(now, state, quota, start, cost, ends)
  local counts_until, spent = ends, 0
  if state then
    counts_until, spent = marked(state, '-3 ', '^%-3 (%d+) (%d+)$')
    if not counts_until then
      return nil
    elseif counts_until <= math.max(now, start) then
      counts_until, spent = ends, 0
    end
  end
  if spent + cost <= quota then
    return true, '-3 ' .. whole(ends) .. ' ' .. whole(spent + cost), ends
  elseif counts_until > ends then
    return false, '-3 ' .. whole(ends) .. ' ' .. whole(spent), ends
  end
  return false
end

-- Asks whether a caller may pass (a cost of 0), or reports that he violated a limit.
local function penalty_box(now, state, after, within, cost, duration)
  local out, since, count = 0, now, 0
  if state then
    out, since, count = marked(state, '-4 ', '^%-4 (%d+) (%d+) (%d+)$')
    if not out then
      return nil
    elseif out > now then
      return false
    elseif out > 0 or since + within <= now then
      out, since, count = 0, now, 0
    end
  end
  if cost == 0 then
    return true
  end
  since, count = math.min(since, now), count + 1
  if count >= after then
    out = now + duration
  end
  local text = '-4 ' .. whole(out) .. ' ' .. whole(since) .. ' ' .. whole(count)
  return true, text, out > 0 and out or since + within
end

local function look()
  return true
end

local RULES = {
  token_bucket = token_bucket, fixed_window = fixed_window, sliding_window = sliding_window,
  sliding_log = sliding_log, calendar_window = calendar_window, penalty_box = penalty_box,
  look = look
}

-- What a rule's own algorithm has to read of a state. A tag says what states that were not written
-- under the rule's first parameters begin with: see engine/limits/amended.py. False if it was written
-- under others than the rule's: what that means, the engine's own arithmetic has to say.
local function bare(state, tag)
  if not state then
    return nil
  elseif tag == '' then
    return (string.byte(state) ~= 45 or string.sub(state, 1, 3) ~= '-1 ') and state
  end
  return string.sub(state, 1, #tag) == tag and string.sub(state, #tag + 1)
end

-- A take by its words: rule, five numbers, tag, and the span of time in which it holds ('0': ever).
-- Answers as a rule does; 'foreign' for a state of other parameters, false at another time.
local function take_by(words, at, now, state)
  local tag, ends = words[at + 6], tonumber(words[at + 8])
  local own = bare(state, tag)
  if own == false then
    return 'foreign'
  elseif ends > 0 and (now >= ends or now < tonumber(words[at + 7])) then
    return false
  end
  local allowed, text, deadline = RULES[words[at]](
    now, own, tonumber(words[at + 1]), tonumber(words[at + 2]), tonumber(words[at + 3]),
    tonumber(words[at + 4]), tonumber(words[at + 5])
  )
  if text and #tag > 1 then
    text = tag .. text
  end
  return allowed, text, deadline
end
