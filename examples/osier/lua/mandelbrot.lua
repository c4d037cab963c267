-- The Mandelbrot set in letters, and how many points of a finer grid belong to it.
local function escape(cr, ci, limit)
    local zr, zi, n = 0, 0, 0
    while n < limit do
        local r2, i2 = zr * zr, zi * zi
        if r2 + i2 > 4 then return n end
        zi = 2 * zr * zi + ci
        zr = r2 - i2 + cr
        n = n + 1
    end
    return limit
end

local letters = " .:-=+*#%@"
for y = 0, 20 do
    local line = {}
    for x = 0, 63 do
        local n = escape(-2.2 + x * 3.2 / 64, -1.2 + y * 2.4 / 20, 50)
        local i = n * 9 // 50 + 1
        line[#line + 1] = letters:sub(i, i)
    end
    print(table.concat(line))
end

local size, inside = tonumber(arg[1]) or 300, 0
for y = 0, size - 1 do
    for x = 0, size - 1 do
        if escape(2 * x / size - 1.5, 2 * y / size - 1, 50) == 50 then inside = inside + 1 end
    end
end
print(inside)
