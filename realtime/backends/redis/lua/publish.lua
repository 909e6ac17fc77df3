-- Append to a channel's history and deliver, in one step.
-- KEYS: stream, meta. ARGV: see below; `server` is the run id of whoever runs this.
local data, info, tags, size, ttl, fresh, command, topic, server = unpack(ARGV)
local entry = entry_of(data, info, tags, '')
local offset, epoch = append(KEYS[1], KEYS[2], now_us(), size, ttl, fresh, server, entry, {})
redis.call(command, topic, message(offset, epoch, info, tags, '', data))
return {offset, epoch}
