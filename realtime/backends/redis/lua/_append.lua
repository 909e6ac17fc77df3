-- A message is `offset:epoch:length of info:`, and then info and data. With tags, or the name of a
-- channel, there are three lengths, `info,tags,channel`, and these follow the info.
local function message(offset, epoch, info, tags, channel, data)
  local lengths = #info
  if tags ~= '' or channel ~= '' then
    lengths = #info .. ',' .. #tags .. ',' .. #channel
  end
  return offset .. ':' .. epoch .. ':' .. lengths .. ':' .. info .. tags .. channel .. data
end

-- Append to a channel's history, for `ttl` from `now` on. Answers offset and epoch.
local function append(stream, meta, now, size, ttl, fresh, server, entry, marks)
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
  local offset = whole(top + 1)
  redis.call('XADD', stream, 'MAXLEN', size, offset .. '-0', unpack(entry))
  redis.call('PEXPIREAT', stream, deadline_ms(now + tonumber(ttl)))
  redis.call('HSET', meta, 's', offset, 'e', epoch, 'r', server, unpack(marks))
  keep(meta, now, 30 * 86400 * 1000000)
  return offset, epoch
end

-- The fields of an entry; what is empty is left out.
local function entry_of(data, info, tags, channel)
  local entry = {'d', data}
  for _, field in ipairs({{'i', info}, {'t', tags}, {'c', channel}}) do
    if field[2] ~= '' then
      entry[#entry + 1] = field[1]
      entry[#entry + 1] = field[2]
    end
  end
  return entry
end
