-- Replace states if they are still what they were. KEYS: buckets. ARGV per key: the state it had ('':
-- none), the new one ('': as it is, '-': none), its deadline in milliseconds. Whether it was done.
for at, key in ipairs(KEYS) do
  if (redis.call('GET', key) or '') ~= ARGV[3 * at - 2] then
    return 0
  end
end
for at, key in ipairs(KEYS) do
  local text = ARGV[3 * at - 1]
  if text == '-' then
    void(key)
  elseif text ~= '' then
    redis.call('SET', key, text, 'PXAT', ARGV[3 * at])
  end
end
return 1
