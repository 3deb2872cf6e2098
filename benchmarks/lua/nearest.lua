-- GET /v1/bikes?lat=&lon=&radius=&limit=20 around the places of BENCH_DATA (a line: latitude, longitude).

local common = dofile(os.getenv("BENCH_LUA") .. "/common.lua")
local messages, turn = {}, 0

function init(args)
  for index, row in ipairs(common.data("BENCH_DATA")) do
    messages[index] = wrk.format("GET", string.format("/v1/bikes?lat=%s&lon=%s&radius=1000&limit=20", row[1], row[2]))
  end
end

function request()
  turn = turn % #messages + 1
  return messages[turn]
end

function response(status, headers, body)
  if status ~= 200 or not string.find(body, '"distance_m"', 1, true) then common.refuse(status, body) end
end
