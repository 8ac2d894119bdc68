-- Posts numbered events, and notes each that was answered with 202. Arguments: a folder, seconds in which to begin.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  count = 0
  began = os.time()
  seconds = tonumber(arguments[2])
  accepted = io.open(arguments[1] .. "/accepted-" .. number, "w")
  accepted:setvbuf("line")
  wrk.headers["Content-Type"] = "application/json"
end

-- Milliseconds until a connection posts again. At the end nobody begins, so that everything is answered.
function delay()
  if os.time() - began > seconds then
    return 3600000
  end
  return math.random(100, 300)
end

function request()
  count = count + 1
  return wrk.format("POST", nil, nil, '{"n": "' .. number .. "-" .. count .. '"}')
end

function response(status, headers, body)
  if status == 202 then
    accepted:write(body, "\n")
  end
end
