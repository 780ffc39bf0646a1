-- Pushes of a backup's report, for wrk: to a random one of GROUPS groups or, with FROM, to one after the
-- other from there on. An @ in the body is a number that grows from push to push, or with RESETS a random one.

local groups = tonumber(os.getenv("GROUPS"))
local from = tonumber(os.getenv("FROM") or "")
local resets = os.getenv("RESETS")
local count = 0
local method, path = os.getenv("METHOD"), os.getenv("PATH_OF_GROUP")

local file = assert(io.open(os.getenv("BODY")))
local body = file:read("*a")
file:close()
local counts = body:find("@", 1, true)

function init()
  math.randomseed(os.time())
end

function request()
  local group
  if from then
    group = from % groups
    from = from + 1
  else
    group = math.random(0, groups - 1)
  end
  local pushed = body
  if counts then
    count = resets and math.random(1, 1000000) or count + 1
    pushed = body:gsub("@", tostring(count))
  end
  return wrk.format(method, string.format(path, group), nil, pushed)
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p99_seconds": %f}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(99) / 1e6))
end
