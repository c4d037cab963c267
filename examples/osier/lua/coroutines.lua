-- Ten thousand coroutines: a ring that passes a token, generators, and a scheduler.
local N = tonumber(arg[1]) or 10000

local function node(number)
    return coroutine.create(function(token)
        while true do token = coroutine.yield(token + number) end
    end)
end

local ring, token = {}, 0
for i = 0, N - 1 do ring[#ring + 1] = node(i) end
for round = 1, 10 do
    for _, c in ipairs(ring) do
        local _
        _, token = coroutine.resume(c, token)
    end
end
print(token)
print(token == 10 * N * (N - 1) // 2)

local function naturals(from)
    return coroutine.wrap(function()
        local n = from
        while true do coroutine.yield(n); n = n + 1 end
    end)
end
local function without(p, source)
    return coroutine.wrap(function()
        for n in source do if n % p ~= 0 then coroutine.yield(n) end end
    end)
end
local primes, source, sum = {}, naturals(2), 0
while #primes < 60 do
    local p = source()
    primes[#primes + 1] = p
    sum = sum + p
    source = without(p, source)
end
print(primes[#primes] .. " " .. sum)

local ready, ended = {}, 0
for i = 0, N - 1 do
    ready[#ready + 1] = coroutine.create(function()
        local list = {i}
        for step = 0, i % 5 - 1 do list[#list + 1] = step; coroutine.yield() end
        ended = ended + #list
    end)
end
local turns = 0
while #ready > 0 do
    local still = {}
    for _, task in ipairs(ready) do
        turns = turns + 1
        coroutine.resume(task)
        if coroutine.status(task) ~= "dead" then still[#still + 1] = task end
    end
    ready = still
end
print(turns .. " " .. ended)

local function walk(low, high)
    return coroutine.wrap(function()
        if low >= high then return end
        local middle = (low + high) // 2
        for x in walk(low, middle) do coroutine.yield(x) end
        coroutine.yield(middle)
        for x in walk(middle + 1, high) do coroutine.yield(x) end
    end)
end
local previous, ordered, n = -1, true, 0
for x in walk(0, 1000) do
    if x <= previous then ordered = false end
    previous = x
    n = n + 1
end
print(tostring(ordered) .. " " .. n)
