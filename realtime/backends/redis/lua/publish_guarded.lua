-- Publish unless a guard holds it back, and on a wildcard, too, in one step.
-- KEYS: stream, meta; with a wildcard its stream and meta; with an idempotency key its result.
-- ARGV: see below; the wildcard is `shown` on topic `shown`, or ''; `size` 0 keeps nothing.
-- Answers {offset, epoch, whether it was delivered}.
local data, info, tags, size, ttl, fresh, command, topic, has_key, version, version_epoch,
  shown, channel, shown_size, shown_ttl, shown_fresh, server = unpack(ARGV)
local RESULT_TTL = 300 * 1000000
local now = now_us()

if has_key == '1' then
  local first = redis.call('GET', KEYS[#KEYS])
  if first then
    local at = string.find(first, ' ', 1, true)
    return {string.sub(first, 1, at - 1), string.sub(first, at + 1), 0}
  end
end

local marks = {}
if version ~= '0' and size ~= '0' then
  local known = redis.call('HMGET', KEYS[2], 's', 'e', 'v', 've')
  local comparable = version_epoch == '' or version_epoch == (known[4] or '')
  if comparable and tonumber(version) <= tonumber(known[3] or '0') then
    keep(KEYS[2], now, 30 * 86400 * 1000000)
    return {known[1], known[2], 0}
  end
  marks = {'v', version, 've', version_epoch}
end

if shown ~= '' then
  redis.call('XLEN', KEYS[3])  -- of another type: nothing is done
end
local offset, epoch = '0', ''
if size ~= '0' then
  local entry = entry_of(data, info, tags, '')
  offset, epoch = append(KEYS[1], KEYS[2], now, size, ttl, fresh, server, entry, marks)
end
local shown_offset, shown_epoch = '0', ''
if shown ~= '' and shown_size ~= '0' then
  local entry = entry_of(data, info, tags, channel)
  shown_offset, shown_epoch = append(
    KEYS[3], KEYS[4], now, shown_size, shown_ttl, shown_fresh, server, entry, {})
end
if has_key == '1' then
  redis.call('SET', KEYS[#KEYS], offset .. ' ' .. epoch, 'PXAT', deadline_ms(now + RESULT_TTL))
end
redis.call(command, topic, message(offset, epoch, info, tags, '', data))
if shown ~= '' then
  redis.call(command, shown, message(shown_offset, shown_epoch, info, tags, channel, data))
end
return {offset, epoch, 1}
