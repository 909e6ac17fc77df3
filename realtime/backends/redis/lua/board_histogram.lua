-- How many entries there are between bounds. KEYS: board. ARGV: order, ranks, number of equal
-- buckets ('': the bounds follow), bound, ...
-- Answers {total, {bound, ...}, {entries below the bound, ...}}; those of the last bound, and of
-- a score that is equal to it, too.
local board = open(KEYS, ARGV[1], ARGV[2])
local total, bounds, edges = redis.call('ZCARD', board.key), {}, {}

-- The same operations on doubles as in engine/standings.py.
local function equal(buckets)
  local low = tonumber(redis.call('ZRANGE', board.key, 0, 0, 'WITHSCORES')[2])
  local high = tonumber(redis.call('ZRANGE', board.key, -1, -1, 'WITHSCORES')[2])
  local found, last = {low}, low
  for number = 1, buckets - 1 do
    local share = number / buckets
    local bound = low * (1 - share) + high * share
    if last < bound and bound < high then
      found[#found + 1], last = bound, bound
    end
  end
  found[#found + 1] = high
  return found
end

if ARGV[3] == '' then
  for at = 4, #ARGV do
    bounds[#bounds + 1] = ARGV[at]
  end
elseif total > 0 then
  bounds = equal(tonumber(ARGV[3]))
end
for at, bound in ipairs(bounds) do
  local text = string.format('%.17g', tonumber(bound))
  bounds[at] = text
  edges[at] = redis.call('ZCOUNT', board.key, '-inf', (at < #bounds and '(' or '') .. text)
end
return {total, bounds, edges}
