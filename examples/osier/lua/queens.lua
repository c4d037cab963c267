-- All ways to place n queens on a board of n by n.
local function solve(n, row, columns, up, down, placed, found)
    if row == n then found(placed); return 1 end
    local count = 0
    for c = 0, n - 1 do
        if not (columns[c] or up[row + c] or down[row - c + n]) then
            columns[c] = true; up[row + c] = true; down[row - c + n] = true
            placed[row] = c
            count = count + solve(n, row + 1, columns, up, down, placed, found)
            columns[c] = false; up[row + c] = false; down[row - c + n] = false
        end
    end
    return count
end

local first
for n = 4, tonumber(arg[1]) or 8 do
    print(n .. " " .. solve(n, 0, {}, {}, {}, {}, function(p)
        if n == 8 and not first then
            first = {}
            for i = 0, 7 do first[i] = p[i] end
        end
    end))
end
for i = 0, 7 do print(("."):rep(first[i]) .. "Q" .. ("."):rep(7 - first[i])) end
