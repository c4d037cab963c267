-- The sieve of Eratosthenes.
local function sieve(n)
    local composite, count = {}, 0
    for i = 0, n do composite[i] = false end
    for i = 2, n do
        if not composite[i] then
            count = count + 1
            for j = i * i, n, i do composite[j] = true end
        end
    end
    return count
end

print(sieve(100) .. " " .. sieve(10000) .. " " .. sieve(tonumber(arg[1]) or 1000000))
