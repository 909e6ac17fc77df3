-- Requests about random members of a board, for wrk.
-- Arguments: method, path, body ("-" for none), members, first score.
-- In the path and the body, $m becomes a member and $s a score. Scores are drawn from the
-- million above the first score; each round starts a million higher, so that nearly every
-- submission changes the board. At the end: one line of JSON.

local method, path, body, members, first
local headers = {}

local function fill(text)
   text = text:gsub("$m", "player:" .. math.random(0, members - 1))
   return (text:gsub("$s", first + math.random(0, 999999)))
end

function init(args)
   method, path, body = args[1], args[2], args[3]
   members, first = tonumber(args[4]), tonumber(args[5])
   headers["Host"] = "127.0.0.1"
   if body == "-" then body = nil else headers["Content-Type"] = "application/json" end
   math.randomseed(first + 1)
end

function request()
   return wrk.format(method, fill(path), headers, body and fill(body))
end

function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format(
      '\n{"rate": %f, "p50_ms": %f, "p99_ms": %f, "failed": %d}\n',
      summary.requests / summary.duration * 1e6,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
