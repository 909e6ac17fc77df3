-- See engine.departures. KEYS: here, gone, events, next, tries, watch.
-- ARGV: ttl of a stay, debounce, gap, harvest, lease, limit.
-- Answers {now, pending, when the oldest happened, departure, tries, departure, tries, ...}.
local here, gone, events, next_, tries, watch = unpack(KEYS)
local ttl, debounce, gap, harvest, lease, limit = unpack(ARGV)
local now = now_us()

-- Since when have claims come without a gap?
local since = redis.call('GET', watch)
if since then
  keep(watch, now, tonumber(gap))
else
  since = whole(now)
  redis.call('SET', watch, since, 'PXAT', deadline_ms(now + tonumber(gap)))
end
local watched = now - tonumber(since)

-- The first rows of a set up to a score: {member, score, member, score, ...}
local function up_to(key, score)
  return redis.call('ZRANGEBYSCORE', key, '-inf', whole(score), 'WITHSCORES', 'LIMIT', 0, harvest)
end

if watched >= tonumber(ttl) then
  local silent = up_to(here, now)
  for at = 1, #silent, 2 do
    redis.call('ZREM', here, silent[at])
    redis.call('ZADD', gone, silent[at + 1], silent[at])
  end
end
if watched >= tonumber(debounce) then
  local left = up_to(gone, now - tonumber(debounce))
  for at = 1, #left, 2 do
    local instant = whole(tonumber(left[at + 1]))
    local departure = instant .. ' ' .. left[at]
    redis.call('ZREM', gone, left[at])
    redis.call('ZADD', events, instant, departure)
    redis.call('ZADD', next_, whole(now), departure)
  end
end

local oldest = redis.call('ZRANGE', events, 0, 0, 'WITHSCORES')[2]
local answer = {now, redis.call('ZCARD', events), tonumber(oldest or now)}
local free = redis.call('ZRANGEBYSCORE', next_, '-inf', whole(now), 'LIMIT', 0, limit)
for _, departure in ipairs(free) do
  redis.call('ZADD', next_, whole(now + tonumber(lease)), departure)
  answer[#answer + 1] = departure
  answer[#answer + 1] = redis.call('HGET', tries, departure) or '0'
end
return answer
