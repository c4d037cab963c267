-- Conway's Game of Life on an unbounded plane: the living cells are a table.
local function neighbours(cells)
    local counts = {}
    for key in pairs(cells) do
        local x, y = key % 65536, key // 65536
        for dy = -1, 1 do
            for dx = -1, 1 do
                if dx ~= 0 or dy ~= 0 then
                    local k = (y + dy) * 65536 + x + dx
                    counts[k] = (counts[k] or 0) + 1
                end
            end
        end
    end
    return counts
end

local function step(cells)
    local next = {}
    for key, n in pairs(neighbours(cells)) do
        if n == 3 or n == 2 and cells[key] then next[key] = true end
    end
    return next
end

local function parse(lines, x, y)
    local cells = {}
    for dy, line in ipairs(lines) do
        for dx = 1, #line do
            if line:sub(dx, dx) == "O" then cells[(y + dy - 1) * 65536 + x + dx - 1] = true end
        end
    end
    return cells
end

local glider = parse({".O.", "..O", "OOO"}, 1000, 1000)
for i = 1, 40 do glider = step(glider) end
for dy = 0, 5 do
    local line = {}
    for dx = 0, 5 do line[#line + 1] = glider[(1008 + dy) * 65536 + 1008 + dx] and "O" or "." end
    print(table.concat(line))
end

local cells, n = parse({".OO", "OO.", ".O."}, 20000, 20000), 0
for i = 1, tonumber(arg[1]) or 1103 do cells = step(cells) end
for _ in pairs(cells) do n = n + 1 end
print(n)
