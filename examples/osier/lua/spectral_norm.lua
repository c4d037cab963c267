-- The spectral norm of an infinite matrix, from its first n rows and columns.
local function a(i, j) return 1 / ((i + j) * (i + j + 1) / 2 + i + 1) end

local function times(v, n, transposed)
    local out = {}
    for i = 0, n - 1 do
        local sum = 0
        for j = 0, n - 1 do sum = sum + (transposed and a(j, i) or a(i, j)) * v[j + 1] end
        out[#out + 1] = sum
    end
    return out
end

local function at_times_a(v, n) return times(times(v, n, false), n, true) end

local n = tonumber(arg[1]) or 100
local u, v = {}, nil
for i = 1, n do u[i] = 1 end
for i = 1, 10 do
    v = at_times_a(u, n)
    u = at_times_a(v, n)
end
local uv, vv = 0, 0
for i = 1, n do
    uv = uv + u[i] * v[i]
    vv = vv + v[i] * v[i]
end
print(string.format("%.9f", math.sqrt(uv / vv)))
