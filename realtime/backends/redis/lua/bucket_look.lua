-- KEYS: bucket. Answers {now, its state}.
return {now_us(), redis.call('GET', KEYS[1])}
