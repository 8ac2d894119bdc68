-- Posts numbered events, and records each answer. Arguments: a folder, and the number of answers for each thread.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  count = 0
  answered = 0
  most = tonumber(arguments[2])
  answers = io.open(arguments[1] .. "/answers-" .. number, "w")
  answers:setvbuf("line")
  wrk.headers["Content-Type"] = "application/json"
end

-- Milliseconds until a connection posts again. After that number of answers, none does.
function delay()
  if answered >= most then
    return 3600000
  end
  return math.random(100, 300)
end

function request()
  count = count + 1
  return wrk.format("POST", nil, nil, '{"n": "' .. number .. "-" .. count .. '"}')
end

function response(status, headers, body)
  answered = answered + 1
  answers:write(status, " ", (body:gsub("\n", " ")), "\n")
end
