-- Some members, and a version that is higher than that of every look before; see engine/entries.py.
-- KEYS: board, newest version; or those of _rich.lua, and that one last.
-- ARGV: order, ranks, how long it is to be known (microseconds), member, ...
-- Answers {version, total, {score, ...}, {rank, ...}, {index, ...}}, one of each per member.
local order, ranks, kept = unpack(ARGV, 1, 3)
local board = open(KEYS, order, ranks)
local answer = standings_of(board, ranks, words_from(4))
local newest, version = redis.call('GET', KEYS[#KEYS]), now_us()
if newest or answer[1] > 0 then
  local deadline = deadline_ms(version + kept)
  version = math.max(version, tonumber(newest or 0)) + 1
  redis.call('SET', KEYS[#KEYS], whole(version), 'PXAT', deadline)
end
table.insert(answer, 1, version)
return answer
