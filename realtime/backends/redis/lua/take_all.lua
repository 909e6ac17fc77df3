-- Spend from several buckets, from all or from none. KEYS: buckets, each once.
-- ARGV per take: number of its key, and its words, see `take_by`.
-- Answers {now, {the state before, per key}}; {now, number of a key} if what is there is no state
-- of a limit; and one more if one was written under other parameters: then nothing was done.
local now, states = now_us(), {}
for at, key in ipairs(KEYS) do
  states[at] = redis.call('GET', key)
end

-- What the takes up to here would leave behind, by number of the key.
local texts, deadlines = {}, {}
for at = 1, #ARGV, 10 do
  local key = tonumber(ARGV[at])
  local allowed, text, deadline = take_by(ARGV, at + 1, now, texts[key] or states[key])
  if allowed == nil then
    return {now, key}
  elseif allowed == 'foreign' then
    return {now, states, 1}
  elseif not allowed then
    return {now, states}
  elseif text then
    texts[key], deadlines[key] = text, deadline
  end
end
for key, text in pairs(texts) do
  redis.call('SET', KEYS[key], text, 'PXAT', deadline_ms(deadlines[key]))
end
return {now, states}
