-- How many connections there are, and of how many users who have a name.
bury(now_us())
return {redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[3]) - redis.call('HEXISTS', KEYS[3], '')}
