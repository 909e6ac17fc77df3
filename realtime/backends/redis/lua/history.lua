-- A channel's position, and publications beyond `since`. KEYS: stream, meta.
-- Answers {top, epoch, past epoch, past offset, {{id, fields}, ...}}.
local stream, meta = KEYS[1], KEYS[2]
local fresh, since, limit, reverse = unpack(ARGV)
local META_TTL, EMPTY_TTL = 30 * 86400 * 1000000, 3600 * 1000000

local now = now_us()
local known = redis.call('HMGET', meta, 's', 'e', 'pe', 'ps')
if not known[2] then
  void(stream)
  redis.call('HSET', meta, 's', '0', 'e', fresh)
  known = {'0', fresh, false, false}
end
keep(meta, now, known[1] == '0' and EMPTY_TTL or META_TTL)

local entries = {}
if limit ~= '0' and not (reverse == '1' and since == '0') then
  local range = {'XRANGE', stream, '-', '+'}
  if reverse == '1' then
    range = {'XREVRANGE', stream, '+', '-'}
  end
  if since ~= '' then
    range[3] = '(' .. since .. '-0'
  end
  if tonumber(limit) > 0 then
    range[5], range[6] = 'COUNT', limit
  end
  entries = redis.call(unpack(range))
end
return {known[1], known[2], known[3], known[4], entries}
