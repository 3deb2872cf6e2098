-- POST /v1/trips and POST /v1/trips/{id}/end by the riders of BENCH_DATA (a line: subject, token, bikes). wrk does not
-- say which connection an answer came on, but an answer names its rider: one is idle, on the way, or riding.
-- BENCH_BOOK gets a line for each 201 (started, trip) and each 200 (ended, trip).

local common = dofile(os.getenv("BENCH_LUA") .. "/common.lua")
local riders, idle, riding = {}, {}, {}
local first_idle, last_idle, first_riding, last_riding = 1, 0, 1, 0
local book, is_tried

function init(args)
  for index, row in ipairs(common.data("BENCH_DATA")) do
    local rider = { headers = { ["Authorization"] = "Bearer " .. row[2], ["Content-Type"] = "application/json" },
                    starts = {}, turn = 0 }
    for bike = 3, #row do
      rider.starts[bike - 2] = wrk.format("POST", "/v1/trips", rider.headers, '{"bike_id":"' .. row[bike] .. '"}')
    end
    riders[row[1]] = rider
    last_idle = last_idle + 1
    idle[last_idle] = rider
  end
  local path = assert(os.getenv("BENCH_BOOK"), "BENCH_BOOK is not set")
  book = assert(io.open(path, "a"))
end

function request()
  if not is_tried then
    -- wrk throws the very first one away: it only looks whether it is well-formed.
    is_tried = true
    return idle[1].starts[1]
  end
  if first_riding <= last_riding then
    local rider = riding[first_riding]
    riding[first_riding] = nil
    first_riding = first_riding + 1
    return wrk.format("POST", "/v1/trips/" .. rider.trip .. "/end", rider.headers)
  end
  local rider = idle[first_idle]
  if not rider then
    common.refuse(0, "no rider is free: an answer was lost")
    rider = select(2, next(riders))
  else
    idle[first_idle] = nil
    first_idle = first_idle + 1
  end
  rider.turn = rider.turn % #rider.starts + 1
  return rider.starts[rider.turn]
end

function response(status, headers, body)
  local trip = string.match(body, '"id": ?"([^"]+)"')
  local rider = riders[string.match(body, '"rider_id": ?"([^"]+)"') or ""]
  local state = string.match(body, '"status": ?"([^"]+)"')
  if rider and status == 201 and state == "active" then
    rider.trip = trip
    last_riding = last_riding + 1
    riding[last_riding] = rider
    book:write("started ", trip, "\n")
  elseif rider and status == 200 and state == "ended" and trip == rider.trip then
    last_idle = last_idle + 1
    idle[last_idle] = rider
    book:write("ended ", trip, "\n")
  else
    common.refuse(status, body)
  end
end
