-- POST /v1/bikes/{id}/positions with one position, by the bikes of BENCH_DATA (a line: id, token) in turn. Each has
-- a time of its own: from BENCH_START (Unix seconds) on, a microsecond for each request.

local common = dofile(os.getenv("BENCH_LUA") .. "/common.lua")
local bikes, turn, sent = {}, 0, 0
local start

function init(args)
  bikes = common.data("BENCH_DATA")
  for _, row in ipairs(bikes) do
    row.path = "/v1/bikes/" .. row[1] .. "/positions"
    row.headers = { ["Authorization"] = "Bearer " .. row[2], ["Content-Type"] = "application/json" }
  end
  start = assert(tonumber(os.getenv("BENCH_START")), "BENCH_START is not a number")
end

function request()
  turn = turn % #bikes + 1
  local bike = bikes[turn]
  local time = string.format("%s.%06dZ", os.date("!%Y-%m-%dT%H:%M:%S", start + math.floor(sent / 1000000)),
                             sent % 1000000)
  local body = string.format(
    '{"positions":[{"recorded_at":"%s","location":{"type":"Point","coordinates":[%.6f,%.6f]},' ..
    '"battery_percent":71.5,"speed_mps":4.2,"accuracy_m":5.1}]}',
    time, -72.64 + (sent % 1000) / 100000, 42.32 + (turn % 1000) / 100000)
  sent = sent + 1
  return wrk.format("POST", bike.path, bike.headers, body)
end

function response(status, headers, body)
  if status ~= 202 or not string.find(body, '{"accepted": ?1}') then common.refuse(status, body) end
end
