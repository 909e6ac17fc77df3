-- unpack() takes about 8,000 values at most. Even, so that pairs stay together.
local CHUNK = 7000

-- A command on a key with as many words as there are, in pieces.
local function call_with(command, key, words)
  for first = 1, #words, CHUNK do
    redis.call(command, key, unpack(words, first, math.min(first + CHUNK - 1, #words)))
  end
end

-- As call_with, for a command that answers one value per word: all of these.
local function gather(command, key, words)
  if #words == 0 then
    return {}
  end
  if #words <= CHUNK then
    return redis.call(command, key, unpack(words))
  end
  local found = {}
  for first = 1, #words, CHUNK do
    local last = math.min(first + CHUNK - 1, #words)
    for _, value in ipairs(redis.call(command, key, unpack(words, first, last))) do
      found[#found + 1] = value
    end
  end
  return found
end

