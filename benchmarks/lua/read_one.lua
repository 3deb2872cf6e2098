-- GET /v1/bikes/{id}, each of the bikes of BENCH_DATA (a line: an id) in turn. An answer must be about a bike that
-- is asked for just now.

local common = dofile(os.getenv("BENCH_LUA") .. "/common.lua")
local bikes, messages, asked, turn = {}, {}, {}, 0

function init(args)
  bikes = common.data("BENCH_DATA")
  for index, row in ipairs(bikes) do
    messages[index] = wrk.format("GET", "/v1/bikes/" .. row[1])
    asked[row[1]] = 0
  end
  math.randomseed(os.time())
  turn = math.random(#bikes)
end

function request()
  turn = turn % #bikes + 1
  local id = bikes[turn][1]
  asked[id] = asked[id] + 1
  return messages[turn]
end

function response(status, headers, body)
  local id = string.match(body, '^{"id": ?"([^"]+)"')
  local count = id and asked[id] or 0
  if status ~= 200 or count < 1 or not string.find(body, '"located_at"', 1, true) then
    return common.refuse(status, body)
  end
  asked[id] = count - 1
end
