-- How many connections there are, of how many users who have a name, and how many are of nobody.
bury(now_us())
local nameless = tonumber(redis.call('HGET', KEYS[3], '') or '0')
local users = redis.call('HLEN', KEYS[3]) - (nameless > 0 and 1 or 0)
return {redis.call('HLEN', KEYS[1]), users, nameless}
