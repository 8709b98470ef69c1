-- What wrk sends: LOAD_METHOD and LOAD_TYPE of the body in LOAD_BODY, to the path on wrk's command
-- line. With LOAD_NAME in the body, each request puts a name of its own in its place.
-- Prints one line of JSON at the end; latencies in microseconds.

local body = nil
local count = 0

function init(args)
  wrk.method = os.getenv("LOAD_METHOD") or "GET"
  wrk.headers["Accept"] = "application/json"
  local file = os.getenv("LOAD_BODY")
  if file then
    local opened = assert(io.open(file))
    body = opened:read("*a")
    opened:close()
    wrk.headers["Content-Type"] = os.getenv("LOAD_TYPE") or "application/json"
    local from, to = string.find(body, "LOAD_NAME", 1, true)
    if from then
      local head, tail = string.sub(body, 1, from - 1), string.sub(body, to + 1)
      local prefix = os.getenv("LOAD_PREFIX") or "load"
      request = function()
        count = count + 1
        return wrk.format(nil, nil, nil, head .. string.format("%s-%08d", prefix, count) .. tail)
      end
      return
    end
  end
  local fixed = wrk.format(nil, nil, nil, body)
  request = function() return fixed end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"us":%d,"bad":%d,"broken":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
