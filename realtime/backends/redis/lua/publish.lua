-- Append to a channel's history and deliver, in one step.
-- KEYS: stream, meta. ARGV: see below; `server` is the run id of whoever runs this.
local stream, meta = KEYS[1], KEYS[2]
local data, info, size, ttl, fresh, command, topic, server = unpack(ARGV)
local META_TTL = 30 * 86400 * 1000000

local now = now_us()
local known = redis.call('HMGET', meta, 's', 'e', 'r')
local top, epoch = tonumber(known[1] or '0'), known[2]
if not epoch then
  -- A position that was lost: what may be left of the old life is void.
  void(stream)
  epoch = fresh
elseif known[3] and known[3] ~= server then
  -- Another server, or another life of this one, goes on with what it has; the newest of the
  -- last one may be missing, and their offsets are given out again: not under the same name.
  redis.call('HSET', meta, 'pe', epoch, 'ps', whole(top))
  epoch = fresh
end

top = top + 1
local offset = whole(top)
if info == '' then
  redis.call('XADD', stream, 'MAXLEN', size, offset .. '-0', 'd', data)
else
  redis.call('XADD', stream, 'MAXLEN', size, offset .. '-0', 'd', data, 'i', info)
end
redis.call('PEXPIREAT', stream, deadline_ms(now + tonumber(ttl)))
redis.call('HSET', meta, 's', offset, 'e', epoch, 'r', server)
keep(meta, now, META_TTL)
redis.call(command, topic, offset .. ':' .. epoch .. ':' .. #info .. ':' .. info .. data)
return {offset, epoch}
