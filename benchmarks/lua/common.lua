-- What all scripts share: the books of wrong answers, the data file, and the line that wrk.py reads at the end.

local common = {}

wrong = 0
first_wrong = ""

function common.refuse(status, body)
  wrong = wrong + 1
  if first_wrong == "" then
    first_wrong = status .. " " .. string.gsub(string.sub(body or "", 1, 300), "%s+", " ")
  end
end

-- The lines of the file that the variable names, each split at spaces.
function common.data(variable)
  local rows = {}
  local path = assert(os.getenv(variable), variable .. " is not set")
  for line in io.lines(path) do
    local row = {}
    for word in string.gmatch(line, "%S+") do row[#row + 1] = word end
    rows[#rows + 1] = row
  end
  assert(#rows > 0, variable .. " names an empty file")
  return rows
end

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function done(summary, latency, requests)
  local count, example = 0, ""
  for _, thread in ipairs(threads) do
    count = count + thread:get("wrong")
    if example == "" then example = thread:get("first_wrong") end
  end
  local errors = summary.errors
  print(string.format(
    'wrk-result {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "connect": %d, "read": %d, ' ..
    '"write": %d, "status": %d, "timeout": %d, "wrong": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.connect, errors.read,
    errors.write, errors.status, errors.timeout, count))
  if example ~= "" then print("wrk-wrong " .. example) end
end

return common
