-- KEYS: leases. ARGV: how many at most. Answers {how many are active, {lease, end, ...}}.
local from = '(' .. whole(now_us())
return {
  redis.call('ZCOUNT', KEYS[1], from, '+inf'),
  redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])
}
