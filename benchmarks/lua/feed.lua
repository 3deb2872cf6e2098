-- GET BENCH_PATH, compressed. An answer must be a compressed one of at least BENCH_LEAST bytes.

local common = dofile(os.getenv("BENCH_LUA") .. "/common.lua")
local least, message = tonumber(os.getenv("BENCH_LEAST")), nil

function init(args)
  message = wrk.format("GET", os.getenv("BENCH_PATH"), { ["Accept-Encoding"] = "gzip" })
end

function request()
  return message
end

function response(status, headers, body)
  if status ~= 200 or #body < least or string.byte(body, 1) ~= 0x1f or string.byte(body, 2) ~= 0x8b then
    return common.refuse(status, "no compressed feed, but " .. #body .. " bytes")
  end
end
