-- Edit distances and longest common subsequences, by tables.
local function distance(a, b)
    local previous = {}
    for j = 0, #b do previous[j + 1] = j end
    for i = 1, #a do
        local row, ch = {i}, a:byte(i)
        for j = 1, #b do
            local change = previous[j] + (ch == b:byte(j) and 0 or 1)
            row[#row + 1] = math.min(change, previous[j + 1] + 1, row[j] + 1)
        end
        previous = row
    end
    return previous[#previous]
end

local function common(a, b)
    local first = {}
    for j = 0, #b do first[j + 1] = 0 end
    local rows = {first}
    for i = 1, #a do
        local row = {0}
        for j = 1, #b do
            local same = a:sub(i, i) == b:sub(j, j)
            row[#row + 1] = same and rows[i][j] + 1 or math.max(rows[i][j + 1], row[j])
        end
        rows[#rows + 1] = row
    end
    local letters, i, j = {}, #a, #b
    while i > 0 and j > 0 do
        if a:sub(i, i) == b:sub(j, j) then
            letters[#letters + 1] = a:sub(i, i)
            i = i - 1
            j = j - 1
        elseif rows[i][j + 1] >= rows[i + 1][j] then
            i = i - 1
        else
            j = j - 1
        end
    end
    return table.concat(letters):reverse()
end

for _, pair in ipairs {{"kitten", "sitting"}, {"", "abc"}, {"flaw", "lawn"}, {"same", "same"}, {"intention", "execution"}} do
    print(pair[1] .. " " .. pair[2] .. " " .. distance(pair[1], pair[2]) .. " " .. common(pair[1], pair[2]))
end
local n = tonumber(arg[1]) or 40
local a, b = ("GATTACA"):rep(n), ("TACGATTA"):rep(n * 7 // 8)
print(distance(a, b) .. " " .. #common(a, b))
