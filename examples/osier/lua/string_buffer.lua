-- Strings built piece by piece: by tables, by concatenation, by formatting.
local function by_buffer(n)
    local b = {}
    for i = 0, n - 1 do
        b[#b + 1] = "line "; b[#b + 1] = i; b[#b + 1] = ": "; b[#b + 1] = i * i; b[#b + 1] = "\n"
    end
    return table.concat(b)
end

local function by_concatenation(n)
    local s = ""
    for i = 0, n - 1 do s = s .. i % 10 end
    return s
end

local function by_join(n)
    local b = {}
    for i = 0, n - 1 do b[#b + 1] = "w" .. i % 100 end
    return table.concat(b, " ")
end

local function checksum(s)
    local a, b = 1, 0
    for i = 1, #s do
        a = (a + s:byte(i)) % 65521
        b = (b + a) % 65521
    end
    return string.format("%x", b * 65536 + a)
end

local function split(s)
    local out = {}
    for word in s:gmatch("[^ ]+") do out[#out + 1] = word end
    return out
end

local function count(s, what)
    local _, n = s:gsub(what, "%0")
    return n
end

local n = tonumber(arg[1]) or 50000
local text = by_buffer(n)
print(#text .. " " .. checksum(text))
local digits = by_concatenation(n // 10)
print(#digits .. " " .. checksum(digits))
local words = by_join(n)
print(#words .. " " .. #split(words) .. " " .. checksum(words))
local upper = words:upper():gsub("W9", "<nine>")
print(#upper .. " " .. count(upper, "<nine>") .. " " .. checksum(upper))

local b, pieces, reversed = {}, split(words), {}
for i = #pieces, 1, -1 do reversed[#reversed + 1] = pieces[i] end
for i = 1, #reversed, 1000 do b[#b + 1] = reversed[i] .. ";" end
local joined = table.concat(b)
print(#joined .. " " .. joined:sub(1, 20))
local same = 0
for i = 2, #reversed do
    if reversed[i] == reversed[i - 1] or reversed[i] < reversed[i - 1] then same = same + 1 end
end
print(same)
