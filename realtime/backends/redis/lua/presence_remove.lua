-- ARGV: client. Answers whether it was the last connection of a user who has a name.
bury(now_us())
return take_out(ARGV[1]) and 1 or 0
