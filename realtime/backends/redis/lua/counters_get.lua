-- The texts of counters, 0 for a key that holds no string. KEYS: counters.
local texts = {}
for at, key in ipairs(KEYS) do
  local text = redis.pcall('GET', key)
  if type(text) == 'table' then
    if string.sub(text.err, 1, 9) ~= 'WRONGTYPE' then
      return text
    end
    text = 0 -- the others still count: an earlier one may be misused in another way
  end
  texts[at] = text
end
return texts
