-- Spend from several buckets, from all or from none. KEYS: buckets, each once.
-- ARGV per take: number of its key, rule, five numbers of the rule.
-- Answers {now, {the state before, per key}}; {now} if one of them is no state of a limit.
local now, states = now_us(), {}
for at, key in ipairs(KEYS) do
  states[at] = redis.call('GET', key)
end

-- What the takes up to here would leave behind, by number of the key.
local texts, deadlines = {}, {}
for at = 1, #ARGV, 7 do
  local key = tonumber(ARGV[at])
  local allowed, text, deadline = RULES[ARGV[at + 1]](
    now, texts[key] or states[key], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
    tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  )
  if allowed == nil then
    return {now}
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
