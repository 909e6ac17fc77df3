-- What `take` of the rules in engine/limits.py would store: the same integers, within doubles,
-- which are exact up to 2^53. Products outgrow that; so instants are counted in microseconds and
-- a part of one (fewer than 2^31 ticks), and products are divided before they are compared.
-- The first number of a state is below 2^53, the others are below 2^31: no rule writes more.
--
-- Each rule answers: whether the cost is allowed (nil: the state is none), the text to store (nil:
-- nothing), the microsecond at which it may be forgotten.

local ONE, TWO, THREE = '^(%-?%d+)$', '^(%-?%d+) (%-?%d+)$', '^(%-?%d+) (%-?%d+) (%-?%d+)$'

-- The numbers of a state, nil if it is none. Nearly always it is one of the rule's own.
local function numbers_of(state, own)
  local a, b, c = string.match(state, own)
  if not a then
    a, b, c = string.match(state, THREE)
    if not a then
      a, b = string.match(state, TWO)
      a = a or string.match(state, ONE)
    end
  end
  return tonumber(a), tonumber(b), tonumber(c)
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
  if not part then
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

local function look()
  return true
end

local RULES = {
  token_bucket = token_bucket, fixed_window = fixed_window, sliding_window = sliding_window,
  look = look
}

