-- Seasons of boards: see engine/seasons.py. Instants are texts: a number would lose some digits of
-- those that lie far ahead.
local function season_of(key)
  return unpack(redis.call('HMGET', key, 'number', 'began', 'ends'))
end

local function is_past(instant, now)
  return instant and instant ~= '' and tonumber(instant) <= now
end

local function set_season(key, number, began, ends)
  redis.call('HSET', key, 'number', number, 'began', began, 'ends', ends)
end

-- {number, when it ended, now} of the season of a board with this `order` if nothing may be written
-- any more, otherwise false.
local function season_over(key, order, now)
  if string.sub(order, -1) ~= 's' then
    return false
  end
  local number, _, ends = season_of(key)
  return is_past(ends, now) and {number, ends, whole(now)}
end

